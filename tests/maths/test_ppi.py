from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.intervals import clopper_pearson
from backstay.maths.ppi import labels_for_halfwidth, ppi_plus_plus


def draw(n: int, accuracy: float, seed: int, concentration: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    f = rng.beta(accuracy * concentration, (1 - accuracy) * concentration, size=2000 + n)
    return (rng.random(n) < f[:n]).astype(float), f[:n], f[n:]


def test_informative_predictions_narrow_the_interval() -> None:
    widths = [
        [e.high - e.low, clopper_pearson(y.sum(), 100).width]
        for y, f, pool in (draw(100, 0.85, seed) for seed in range(40))
        for e in [ppi_plus_plus(y, f, pool)]
    ]
    powered, alone = np.mean(widths, axis=0)
    assert powered < 0.8 * alone


def test_useless_predictions_cost_nothing() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(100) < 0.8).astype(float)
    constant = ppi_plus_plus(y, np.full(100, 0.7), np.full(900, 0.7))
    assert constant.lam == 0.0
    assert (constant.low, constant.high) == pytest.approx(tuple(clopper_pearson(y.sum(), 100)))
    backwards = ppi_plus_plus(y, 1 - y, rng.random(900))
    assert backwards.lam == 0.0


def test_wrong_predictions_do_not_bias() -> None:
    errors = []
    for seed in range(200):
        y, f, pool = draw(100, 0.7, seed)
        errors.append(ppi_plus_plus(y, f + 0.2, pool + 0.2).estimate - 0.7)
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(200)


@given(seed=st.integers(0, 200), n=st.integers(2, 80), accuracy=st.floats(0.5, 0.99))
def test_laws(seed: int, n: int, accuracy: float) -> None:
    y, f, pool = draw(n, accuracy, seed)
    found = ppi_plus_plus(y, f, pool)
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    assert n <= found.n_effective <= n + len(pool)
    capped = ppi_plus_plus(y, f, pool, reference_gain=0.0)
    assert capped.n_effective == n
    assert capped.estimate == found.estimate


def test_all_right_is_not_certainty() -> None:
    found = ppi_plus_plus(np.ones(50), np.linspace(0.5, 1, 50), np.linspace(0.5, 1, 500))
    assert found.estimate == 1.0
    assert found.low == pytest.approx(clopper_pearson(50, 50).low)


def test_labels_for_halfwidth_is_the_smallest_number_that_does() -> None:
    found = ppi_plus_plus(*draw(100, 0.9, 1))
    n = labels_for_halfwidth(found, 0.02)
    worth = found.n_effective / found.n
    assert clopper_pearson(found.estimate * n * worth, n * worth).width <= 0.04
    assert clopper_pearson(found.estimate * (n - 1) * worth, (n - 1) * worth).width > 0.04
    with pytest.raises(BackstayError, match="half-width"):
        labels_for_halfwidth(found, 0.0)


@pytest.mark.parametrize("n", [50, 100])
@pytest.mark.parametrize("accuracy", [0.85, 0.98])
def test_small_sample_coverage_quick(n: int, accuracy: float) -> None:
    covered = 0
    for seed in range(300):
        found = ppi_plus_plus(*draw(n, accuracy, seed))
        covered += found.low <= accuracy <= found.high
    assert covered >= 279


def test_one_label_is_refused() -> None:
    with pytest.raises(BackstayError, match="1 labels"):
        ppi_plus_plus(np.ones(1), np.ones(1), np.ones(9))
