from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, ncx2

from backstay.maths.quadratic import AT_A_TIME, quantile, tail


@pytest.mark.parametrize("k", [1, 2, 3, 10, 200])
@pytest.mark.parametrize("alpha", [0.2, 0.01, 1e-4, 1e-8])
def test_tail_of_chi_square(k: int, alpha: float) -> None:
    one, t = np.ones(1), float(chi2.isf(alpha, k))
    probability = tail(one, k * one, np.zeros((1, 1)), t).probability[0]
    assert probability == pytest.approx(alpha, rel=0.12 if k == 1 else 0.05)  # saddlepoint
    if alpha <= 0.01:
        assert probability >= alpha * 0.999  # errs to caution
    assert quantile(one, k * one, alpha) == pytest.approx(t, rel=0.02)


def test_tail_of_noncentral_chi_square_on_both_sides_of_its_mean() -> None:
    shifts = np.array([[0.5], [5.0], [40.0]])
    for t in (1.0, 6.0, 60.0, 90.0):
        found = tail(np.ones(1), 2 * np.ones(1), shifts, t).probability
        assert found == pytest.approx(ncx2.sf(t, 2, shifts[:, 0]), rel=0.05, abs=1e-12)


def test_tail_of_unequal_weights_against_simulation() -> None:
    rng = np.random.default_rng(0)
    weights, offsets = np.array([3.0, 1.0, 0.5, 0.1]), np.array([[1.0, 0.0, 2.0, 0.3]])
    z = rng.standard_normal((400_000, 4)) * np.sqrt(weights) + np.sqrt(offsets)
    q = np.sum(z**2, axis=1)
    for t in np.quantile(q, [0.3, 0.9, 0.999]):
        assert tail(weights, np.ones(4), offsets, t).probability[0] == pytest.approx(np.mean(q > t), rel=0.12)


def test_equal_directions_may_be_bundled() -> None:
    apart = tail(np.full(6, 0.5), np.ones(6), np.zeros((1, 6)), 9.0)
    bundled = tail(np.array([0.5]), np.array([6.0]), np.zeros((1, 1)), 9.0)
    assert apart.probability == pytest.approx(bundled.probability)


def test_at_its_mean_and_falling_with_the_slope_that_is_told() -> None:
    one = np.ones(1)
    at = np.array([4.0, 4.0 + 1e-7, 9.0, 9.001])
    found = tail(one, 4 * one, np.zeros((4, 1)), at)
    assert found.probability[0] == pytest.approx(chi2.sf(4, 4), rel=0.02)
    assert found.probability[1] == pytest.approx(found.probability[0], rel=1e-3)
    fall = -np.diff(np.log(found.probability[2:]))[0] / 0.001
    assert fall == pytest.approx(found.slope[2], rel=0.2)


def test_rows_are_looked_at_some_at_a_time_and_from_any_start_with_the_same_answer() -> None:
    rng = np.random.default_rng(1)
    weights = 0.9 ** np.arange(40)
    offsets = rng.exponential(size=(2 * AT_A_TIME // 40 + 3, 40)) * weights
    at = rng.uniform(5.0, 60.0, len(offsets))
    together = tail(weights, np.ones(40), offsets, at)
    for row in (0, AT_A_TIME // 40, len(offsets) - 1):
        alone = tail(weights, np.ones(40), offsets[row : row + 1], float(at[row]))
        assert together.probability[row] == pytest.approx(alone.probability[0], rel=1e-6)
        assert together.slope[row] == pytest.approx(alone.slope[0], rel=1e-6)
    nearby = tail(weights, np.ones(40), offsets, at * 1.1, together.saddle)
    assert nearby.probability == pytest.approx(tail(weights, np.ones(40), offsets, at * 1.1).probability, rel=1e-6)
