"""Shares of a share from labels and predictions: exact without predictions, right whatever they are worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.intervals import Bounds, clopper_pearson
from backstay.maths.ppi import ppi_plus_plus
from backstay.maths.ppi_ratio import Counted, Foreseen, design_effect, mean_of, ppi_ratio


def draw(n: int, seed: int, pool: int = 800) -> tuple[Counted, Foreseen, float]:
    """Rows of the whole with chance w, and of the part with chance p of these; predictions are the true chances."""
    rng = np.random.default_rng(seed)
    w, p = rng.beta(1.0, 1.5, n + pool), rng.beta(2.0, 0.8, n + pool)
    whole = (rng.random(n) < w[:n]).astype(float)
    part = whole * (rng.random(n) < p[:n])
    foreseen = Foreseen(Counted((w * p)[:n], w[:n]), Counted((w * p)[n:], w[n:]))
    return Counted(part, whole), foreseen, 2.0 / 2.8


def test_without_predictions_it_is_the_exact_interval_of_the_rows_of_the_whole() -> None:
    labelled, _, _ = draw(80, 1)
    found = ppi_ratio(labelled, None)
    right, n = labelled.part.sum(), labelled.whole.sum()
    assert found.estimate == pytest.approx(right / n)
    assert (found.low, found.high) == pytest.approx(tuple(clopper_pearson(right, n)))


def test_of_all_rows_it_is_the_share_of_ppi() -> None:
    rng = np.random.default_rng(3)
    f = rng.beta(3.0, 1.0, 900)
    y = (rng.random(100) < f[:100]).astype(float)
    one = np.ones(900)
    found = ppi_ratio(Counted(y, one[:100]), Foreseen(Counted(f[:100], one[:100]), Counted(f[100:], one[100:])))
    usual = ppi_plus_plus(y, f[:100], f[100:])
    assert found.estimate == pytest.approx(usual.estimate)
    assert (found.low, found.high) == pytest.approx((usual.low, usual.high), abs=2e-3)


@given(seed=st.integers(0, 300), n=st.integers(20, 120))
def test_laws(seed: int, n: int) -> None:
    labelled, foreseen, _ = draw(n, seed)
    found = ppi_ratio(labelled, foreseen)
    assert 0.0 <= found.low <= found.estimate <= found.high <= 1.0
    assert found.n_effective >= labelled.whole.sum() - 1e-9
    assert 0.0 <= found.lam <= 1.0
    wide = ppi_ratio(labelled, foreseen, level=0.99)
    assert wide.low <= found.low
    assert found.high <= wide.high


def test_predictions_shorten_it_and_wrong_ones_do_not_bias() -> None:
    widths, errors = [], []
    for seed in range(150):
        labelled, foreseen, truth = draw(100, seed)
        widths.append([ppi_ratio(labelled, with_).n_effective for with_ in (foreseen, None)])
        upset = Foreseen(
            *(Counted(0.5 * side.part, np.sqrt(side.whole)) for side in (foreseen.labelled, foreseen.pool))
        )
        errors.append(ppi_ratio(labelled, upset).estimate - truth)
    powered, alone = np.mean(widths, axis=0)
    assert powered > 1.1 * alone
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(150) + 0.003


def test_useless_predictions_are_not_trusted() -> None:
    labelled, _, _ = draw(60, 2)
    flat = Foreseen(Counted(np.full(60, 0.3), np.full(60, 0.5)), Counted(np.full(500, 0.3), np.full(500, 0.5)))
    assert ppi_ratio(labelled, flat).lam == 0.0
    with pytest.raises(BackstayError, match="no labelled row"):
        ppi_ratio(Counted(np.zeros(9), np.zeros(9)), None)


def test_a_mean_of_two_alike_is_as_wide_as_one_and_of_two_apart_is_narrower() -> None:
    first, foreseen, _ = draw(150, 4)
    one = ppi_ratio(first, foreseen)
    other = ppi_ratio(*draw(150, 5)[:2])
    limits = tuple(Bounds(r.low, r.high) for r in (one, other))
    same = mean_of((one, one), np.array([one.estimate] * 2), (limits[0], limits[0]))
    assert tuple(same) == pytest.approx((one.low, one.high))
    apart = mean_of((one, other), np.array([one.estimate, other.estimate]), limits)
    assert apart.width == pytest.approx(np.hypot(limits[0].width, limits[1].width) / 2, rel=0.15)


def test_a_class_without_a_mistake_still_counts() -> None:
    sure = ppi_ratio(Counted(np.ones(12), np.ones(12)), None)
    other = ppi_ratio(Counted(np.r_[np.ones(6), np.zeros(6)], np.ones(12)), None)
    both = mean_of((sure, other), np.array([1.0, 0.5]), (Bounds(sure.low, 1.0), Bounds(other.low, other.high)))
    known = mean_of((sure, other), np.array([1.0, 0.5]), (Bounds(1.0, 1.0), Bounds(other.low, other.high)))
    assert both.low < known.low


def test_groups_of_copies_are_worth_one_row_each() -> None:
    rng = np.random.default_rng(0)
    errors = np.repeat(rng.normal(size=40), 5)
    groups = np.repeat(np.arange(40), 5)
    assert design_effect(errors, groups) == pytest.approx(5.0, rel=0.1)
    assert design_effect(errors, np.arange(200)) == design_effect(errors, None) == 1.0
    assert design_effect(np.zeros(200), groups) == 5.0
