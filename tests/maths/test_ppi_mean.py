"""A mean loss from labels and predictions: narrower with good ones, right with any, limits at every look when cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.labelfree_losses import ForeseenLoss
from backstay.maths.ppi_mean import loss_sequence, ppi_mean


def draw(n: int, seed: int, pool: int = 800, spread: float = 0.7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scale = np.exp(spread * rng.normal(size=n + pool))
    return np.abs(rng.normal(size=n)) * scale[:n], 0.8 * scale[:n], 0.8 * scale[n:]


TRUTH = np.sqrt(2 / np.pi) * np.exp(0.7**2 / 2)


def test_good_predictions_narrow_it_and_wrong_ones_do_not_bias() -> None:
    widths, values = [], []
    for seed in range(150):
        y, f, pool = draw(100, seed)
        powered, alone = ppi_mean(y, f, pool), ppi_mean(y, None, None)
        widths.append([powered.high - powered.low, alone.high - alone.low])
        values.append(ppi_mean(y, np.sqrt(f) + 1, np.sqrt(pool) + 1).value)
    assert np.mean(widths, axis=0)[0] < 0.85 * np.mean(widths, axis=0)[1]
    assert abs(np.mean(values) - TRUTH) < 3 * np.std(values) / np.sqrt(150)


@given(seed=st.integers(0, 300), n=st.integers(2, 60))
def test_laws(seed: int, n: int) -> None:
    y, f, pool = draw(n, seed)
    found = ppi_mean(y, f, pool)
    assert 0.0 < found.low < found.value < found.high
    assert found.lam == 0.0 or n >= 20
    # A change of unit changes nothing else.
    again = ppi_mean(1000 * y, 1000 * f, 1000 * pool)
    assert (again.low, again.high, again.lam) == pytest.approx((1000 * found.low, 1000 * found.high, found.lam))


def test_losses_that_are_all_nothing() -> None:
    found = ppi_mean(np.zeros(30), np.zeros(30), np.zeros(200))
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    high = ppi_mean(np.r_[np.zeros(39), 0.01], np.r_[np.zeros(39), 9.0], np.zeros(300))
    assert high.value > 0.0


def test_groups_of_copies_widen_it() -> None:
    y, f, pool = draw(40, 3)
    many, groups = [np.repeat(v, 5) for v in (y, f)], np.repeat(np.arange(40), 5)
    free, tied = (ppi_mean(*many, pool, g) for g in (None, groups))
    assert tied.high / tied.low > (free.high / free.low) ** 1.7
    with pytest.raises(BackstayError, match="1 independent"):
        ppi_mean(np.ones(30), None, None, np.zeros(30))


def test_limits_at_every_look_are_of_losses_cut_at_the_bound() -> None:
    missed = 0
    for seed in range(40):
        y, f, pool = draw(120, seed, pool=600)
        cut = np.minimum(np.abs(np.random.default_rng(1).normal(size=200_000)), 1e9)
        mean = float(np.mean(np.minimum(cut * np.exp(0.7 * np.random.default_rng(2).normal(size=200_000)), 8.0)))
        looks = [loss_sequence(y[:k], f[:k], pool, 8.0)[0] for k in (20, 60, 120)]
        missed += any(not look.low <= mean <= look.high for look in looks)
    assert missed <= 6
    limits, beyond = loss_sequence(np.full(40, 5.0), np.full(40, 1.0), np.full(300, 1.0), 2.0)
    assert beyond == 1.0
    assert limits.high <= 2.0
    with pytest.raises(BackstayError, match="bound"):
        loss_sequence(y, f, pool, 0.0)


def test_foreseen_losses_are_what_the_reference_says_and_never_below_nothing() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 2))
    model = ForeseenLoss.fit(x, np.abs(x[:, 0]) + 0.1 * rng.random(3000))
    found = model.of(np.array([[0.0, 0.0], [2.0, 0.0], [-2.0, 5.0]]))
    assert found[1] > 1.2 > 0.7 > found[0] >= 0.0
    assert found[2] == pytest.approx(found[1], abs=0.3)
    assert np.all(ForeseenLoss.fit(x, np.zeros(3000)).of(x) >= 0.0)
