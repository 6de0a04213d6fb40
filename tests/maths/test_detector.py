from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.betting import geometric_bets
from backstay.maths.detector import ErrorDetector, weighted_starts


def alarms_by_loop(x: np.ndarray, m0: float, threshold: float) -> list[int]:
    bets = geometric_bets(m0)
    r, found = np.zeros(8), []
    for i, value in enumerate(x):
        r = (r + 1) * (1 + bets * (value - m0))
        if r.mean() >= threshold:
            found.append(i)
            r = np.zeros(8)
    return found


@given(seed=st.integers(0, 40), cut=st.integers(0, 300), threshold=st.sampled_from([3.0, 20.0, 200.0]))
def test_alarms_are_those_of_the_plain_loop_however_the_stream_is_cut(seed: int, cut: int, threshold: float) -> None:
    x = (np.random.default_rng(seed).random(300) < 0.2).astype(float)
    expected = alarms_by_loop(x, 0.1, threshold)
    whole, at_once = ErrorDetector.start(0.1, threshold).update(x)
    first, one = ErrorDetector.start(0.1, threshold).update(x[:cut])
    second, two = first.update(x[cut:])
    assert at_once == expected
    assert one + [cut + i for i in two] == expected
    assert second.alarms == whole.alarms == len(expected)
    assert second.evidence == pytest.approx(whole.evidence)
    assert second.highest == pytest.approx(whole.highest)


@given(cut=st.integers(0, 100))
def test_block_means_and_their_positions(cut: int) -> None:
    x = (np.random.default_rng(7).random(100) < 0.5).astype(float)
    expected = [10 * (i + 1) - 1 for i in alarms_by_loop(x.reshape(10, 10).mean(axis=1), 0.1, 5.0)]
    first, one = ErrorDetector.start(0.1, 5.0, block=10).update(x[:cut])
    second, two = first.update(x[cut:])
    assert one + [cut + i for i in two] == expected
    assert (second.rows, second.steps, second.pending) == (100, 10, ())


def test_state_survives_json_exactly_even_unused() -> None:
    fresh = ErrorDetector.start(0.1, 50.0, block=7)
    used, _ = fresh.update(np.random.default_rng(0).random(23))
    for state in (fresh, used):
        assert ErrorDetector.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False))) == state


def test_a_very_long_bad_stream_does_not_overflow() -> None:
    state, alarms = ErrorDetector.start(0.001, 1e300).update(np.ones(5000))
    assert np.isfinite(state.evidence)
    assert len(alarms) > 10
    calm, none = ErrorDetector.start(0.3, 1000.0).update(np.zeros(50000))
    assert none == []
    assert np.isfinite(calm.log_evidence)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(BackstayError, match="threshold"):
        ErrorDetector.start(0.1, 0.5)
    with pytest.raises(BackstayError, match="negative or missing"):
        ErrorDetector.start(0.1, 5.0).update(np.array([np.nan]))


def test_weighted_starts_are_the_plain_sum_over_starts():
    """S is the sum over steps of what was laid there times the product of all bets since."""
    rng = np.random.default_rng(5)
    rows = rng.integers(1, 20, 9)
    errors = rng.binomial(rows, 0.3)
    weights = rng.random(9)
    total = 0.0
    for bet in geometric_bets(0.12):
        for start in range(9):
            wealth = float(weights[start])
            for e, n in zip(errors[start:], rows[start:], strict=True):
                for x in [1.0] * e + [0.0] * (n - e):
                    wealth *= 1.0 + bet * (x - 0.12)
            total += wealth / 8
    steps = [(int(e), int(n)) for e, n in zip(errors, rows, strict=True)]
    assert weighted_starts(steps, list(map(float, weights)), 0.12) == pytest.approx(total)


def test_weighted_starts_with_whole_weights_are_the_detector():
    outcomes = np.random.default_rng(6).binomial(1, 0.2, 60).astype(float)
    detector, alarms = ErrorDetector.start(0.1, 1e9).update(outcomes)
    assert not alarms
    steps = [(int(x), 1) for x in outcomes]
    assert np.log(weighted_starts(steps, [1.0] * 60, 0.1)) == pytest.approx(detector.log_evidence)


@pytest.mark.parametrize("error", [0.0, 0.25, 0.5, 1.0])
def test_a_row_that_errs_in_part_bets_no_more_than_its_loss(error):
    bets = geometric_bets(0.12)
    assert weighted_starts([(error, 1)], [1.0], 0.12) <= np.mean(1.0 + bets * (error - 0.12)) + 1e-12


@pytest.mark.parametrize("steps", [[(3, 2)], [(-1, 2)], [(0, 0)]])
def test_weighted_starts_refuse_counts_that_cannot_be(steps):
    with pytest.raises(BackstayError, match="errors and rows"):
        weighted_starts(steps, [0.1], 0.1)
