from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from backstay.kernel.errors import BackstayError
from backstay.maths.sequences import MeanSequence


def by_loop(x: np.ndarray, alpha: float) -> tuple[float, float]:
    """Formula by formula: Waudby-Smith & Ramdas, equation of PrPl-EB, for values in [0, 1]."""
    low, high, total, squares = 0.0, 1.0, 0.5, 0.25
    bets = weighted = price = 0.0
    for t, value in enumerate(x, start=1):
        mean_before, variance_before = total / t, squares / t
        bet = min(np.sqrt(2 * np.log(2 / alpha) / (variance_before * t * np.log(1 + t))), 0.5)
        bets += bet
        weighted += bet * value
        price += 4 * (value - mean_before) ** 2 * (-np.log(1 - bet) - bet) / 4
        half = (np.log(2 / alpha) + price) / bets
        low, high = max(low, weighted / bets - half), min(high, weighted / bets + half)
        total += value
        squares += (value - total / (t + 1)) ** 2
    return low, high


@given(seed=st.integers(0, 30), cut=st.integers(1, 79), alpha=st.floats(0.01, 0.3))
def test_the_sequence_is_the_plain_loop_however_it_is_cut(seed: int, cut: int, alpha: float) -> None:
    x = np.random.default_rng(seed).beta(1, 5, 80)
    whole = MeanSequence.start(alpha).update(x)
    parts = MeanSequence.start(alpha).update(x[:cut]).update(x[cut:])
    assert (whole.low, whole.high) == pytest.approx(by_loop(x, alpha))
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high))
    assert parts.current == pytest.approx(whole.current)


def test_bounds_scale_with_the_values() -> None:
    x = np.random.default_rng(1).random(300)
    unit, wide = MeanSequence.start(0.05).update(x), MeanSequence.start(0.05, -2.0, 8.0).update(10 * x - 2)
    assert wide.low == pytest.approx(10 * unit.low - 2)
    assert wide.current.high == pytest.approx(10 * unit.current.high - 2)
    low, high = MeanSequence.start(0.05, -2.0, 8.0).path(10 * x - 2)
    assert (low[-1], high[-1]) == pytest.approx((wide.low, wide.high))


def test_state_survives_json_exactly() -> None:
    state = MeanSequence.start(0.1).update(np.random.default_rng(0).random(30))
    assert MeanSequence.from_json(json.loads(json.dumps(state.to_json()))) == state


def test_it_covers_at_all_times_and_a_fixed_size_interval_does_not() -> None:
    rng = np.random.default_rng(5)
    missed = wald = 0
    for _ in range(200):
        x = (rng.random(1500) < 0.1).astype(float)
        low, high = MeanSequence.start(0.05).path(x)
        missed += bool(low.max() > 0.1 or high.min() < 0.1)
        n = np.arange(1, 1501)
        mean = np.cumsum(x) / n
        wald += bool(np.any((np.abs(mean - 0.1) > 1.96 * np.sqrt(0.09 / n))[50:]))
    assert missed <= binom.ppf(0.999, 200, 0.05)
    assert wald > binom.ppf(0.999, 200, 0.05)


def test_a_mean_that_moved_empties_the_intersection() -> None:
    x = np.concatenate([np.zeros(2000), np.ones(4000)])
    state = MeanSequence.start(0.05).update(x)
    assert state.empty
    assert state.current.low < state.current.high


@pytest.mark.parametrize("bad", [[0.5, 1.2], [-0.1], [np.nan]])
def test_values_outside_the_bounds_are_refused(bad: list[float]) -> None:
    with pytest.raises(BackstayError):
        MeanSequence.start(0.05).update(np.array(bad))


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(BackstayError, match="lower first"):
        MeanSequence.start(0.05, 1.0, 0.0)
