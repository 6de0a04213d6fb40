from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.meanshift import MeanShift
from backstay.maths.spectrum import LARGEST
from backstay.maths.threshold import find_threshold, least_inflation

SCALES = np.sqrt(0.8 ** np.arange(16))


def rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 16)) * SCALES


SMALL = MeanShift.fit(rows(300))


def conditional_rates(references: int, n: int, m: int, alpha: float, *, inflate: bool = True) -> np.ndarray:
    """Alarm rate of each of many fixed references, over one bank of true window means."""
    rng = np.random.default_rng(9)
    means = rng.normal(size=(8000, 16)) * SCALES / np.sqrt(m)
    rates = []
    for seed in range(references):
        shift = MeanShift.fit(rows(n, seed + 1))
        limit = find_threshold(shift.spectrum, m, alpha)
        distance = np.sum((means - shift.mean) ** 2, axis=1)
        rates.append(np.mean(distance >= (limit.value if inflate else limit.uninflated)))
    return np.asarray(rates)


def test_one_users_reference_keeps_the_budget() -> None:
    rates = conditional_rates(120, 1000, 200, 0.02)
    assert rates.mean() <= 0.02
    assert np.quantile(rates, 0.95) <= 1.5 * 0.02
    assert rates.mean() >= 0.02 / 20  # not a dead test


def test_a_threshold_that_ignores_reference_error_breaks_it() -> None:
    rates = conditional_rates(60, 1000, 200, 0.02, inflate=False)
    assert np.quantile(rates, 0.95) > 1.8 * 0.02


def test_it_finds_a_shift_of_the_size_it_says_with_the_power_it_says() -> None:
    shift = MeanShift.fit(rows(2000))
    found = shift.check(rows(300, 5), 0.01)
    moved = np.zeros(16)
    moved[0] = found.minimum_detectable * SCALES[0]
    hits = [shift.check(rows(300, 100 + i) + moved, 0.01).alarm for i in range(150)]
    assert 0.65 <= np.mean(hits) <= 0.99  # of this one reference: its own error helps or hinders


def test_the_statistic_is_a_squared_distance_and_the_sketch_is_enough() -> None:
    reference, window = rows(500), rows(100, 7)
    shift = MeanShift.fit(reference)
    by_hand = float(np.sum((window.mean(axis=0) - reference.mean(axis=0)) ** 2))
    result = shift.check(window, 0.01)
    assert result.statistic == pytest.approx(by_hand)
    assert result == shift.check_mean(window.mean(axis=0), 100, 0.01)
    assert result.evidence == pytest.approx(result.statistic / shift.threshold(100, 0.01))
    assert result.alarm == (result.evidence >= 1)


def test_whitening_weighs_directions_alike_and_ignores_units() -> None:
    reference, window = rows(3000), rows(400, 3)
    window[:, 15] += 0.3 * SCALES[15]
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 16)))[0]
    white = MeanShift.fit(reference, whiten=True, ridge=0.0).check(window, 0.01)
    plain = MeanShift.fit(reference).check(window, 0.01)
    there, here = (reference / SCALES) @ turned, (window / SCALES) @ turned
    scaled = MeanShift.fit(there, whiten=True, ridge=0.0).check(here, 0.01)
    assert white.evidence > 2 * plain.evidence
    assert scaled.statistic == pytest.approx(white.statistic)


@settings(max_examples=15, deadline=None)
@given(alpha=st.floats(1e-6, 0.1), m=st.integers(20, 3000))
def test_thresholds_fall_with_alpha_with_rows_and_with_a_better_reference(alpha: float, m: int) -> None:
    small, large = SMALL, SMALL.spectrum.with_rows(30)
    threshold = small.threshold(m, alpha)
    assert threshold >= small.threshold(m, min(alpha * 2, 0.2)) * 0.999
    assert threshold >= small.threshold(m * 2, alpha)
    assert threshold > find_threshold(large, m, alpha).value * 0.999
    assert threshold >= small.check_mean(small.mean, m, alpha).threshold * 0.999
    assert small.check_mean(small.mean, m, alpha).p_value == pytest.approx(1.0, abs=1e-6)


def test_marginal_level_far_in_the_tail() -> None:
    rng = np.random.default_rng(4)
    shift = MeanShift.fit(rows(3000))
    both = rng.normal(size=(400_000, 16)) * SCALES * np.sqrt(1 / 200 + 1 / 3000)
    distance = np.sum(both**2, axis=1)
    for alpha in (1e-2, 1e-3, 1e-4):
        assert np.mean(distance >= shift.threshold(200, alpha)) <= alpha * 1.1 + 3 * np.sqrt(alpha / 400_000)
    t = float(np.quantile(distance, 0.99))
    direction = np.zeros(16)
    direction[0] = np.sqrt(t)
    assert shift.check_mean(shift.mean + direction, 200, 1e-2).p_value == pytest.approx(0.01, rel=0.15)


def test_groups_of_copies_count_once() -> None:
    base = rows(300)
    copies, marks = np.repeat(base, 10, axis=0), np.repeat(np.arange(300), 10)
    honest, naive, once = MeanShift.fit(copies, marks), MeanShift.fit(copies), MeanShift.fit(base)
    assert honest.n == 3000
    assert honest.n_effective == pytest.approx(300, rel=0.02)
    assert honest.threshold(100, 0.01) == pytest.approx(once.threshold(100, 0.01), rel=0.05)
    assert naive.threshold(100, 0.01) < 0.9 * honest.threshold(100, 0.01)
    assert honest.window_effective(200, np.repeat(np.arange(20), 10)) == pytest.approx(20, rel=0.05)
    assert naive.window_effective(200, np.repeat(np.arange(20), 10)) == 20
    assert naive.window_effective(200, None) == 200


def test_a_finite_source_of_traffic_widens_the_threshold() -> None:
    shift = MeanShift.fit(rows(2000))
    assert shift.threshold(100, 0.01, source=200.0) > 1.2 * shift.threshold(100, 0.01)


def test_rows_needed_buys_the_inflation_that_was_asked_for() -> None:
    shift = MeanShift.fit(rows(300))
    assert shift.check(rows(300, 1), 0.005).inflation > 2
    needed = shift.rows_needed(300, 0.005, 1.25)
    assert needed > 600
    enough = MeanShift.fit(rows(needed))
    assert enough.check(rows(300, 1), 0.005).inflation == pytest.approx(1.25, abs=0.03)
    with pytest.raises(BackstayError, match="inflation"):
        shift.rows_needed(300, 0.005, 1.0)


def test_rows_needed_end_at_the_most_that_are_looked_at() -> None:
    shift = MeanShift.fit(rows(300))
    needed = shift.rows_needed(300, 0.005, 1.25)
    assert shift.rows_needed(300, 0.005, 1.25, most=needed // 3) == needed // 3
    assert shift.rows_needed(300, 0.005, 1.25, most=2 * needed) == pytest.approx(needed, rel=0.03)


def test_what_a_reference_costs_at_the_least_is_a_floor_of_what_it_costs() -> None:
    for multiple in (0.5, 1.0, 4.0, 50.0):
        spectrum = SMALL.spectrum.with_rows(multiple)
        found = find_threshold(spectrum, 300, 0.005)
        assert 1.0 <= least_inflation(spectrum, 300, 0.005) <= found.value / found.uninflated * (1.0 + 1e-9)


def test_state_survives_json() -> None:
    for whiten in (False, True):
        shift = MeanShift.fit(rows(400), np.arange(400) // 2, whiten=whiten)
        again = MeanShift.from_json(json.loads(json.dumps(shift.to_json(), allow_nan=False)))
        assert again.check(rows(100, 2), 0.003) == shift.check(rows(100, 2), 0.003)


def test_many_features_are_bundled_without_loss_of_trace() -> None:
    x = np.random.default_rng(0).normal(size=(600, 300))
    spectrum = MeanShift.fit(x).spectrum
    assert len(spectrum.weights) == LARGEST + 1
    assert np.sum(spectrum.weights * spectrum.dof) == pytest.approx(np.trace(np.cov(x.T)))


def test_skewed_features_raise_the_threshold_of_small_windows_only() -> None:
    rng = np.random.default_rng(0)
    rare = (rng.random((4000, 1)) < 0.02).astype(float)
    spectrum = MeanShift.fit(rare).spectrum
    assert find_threshold(spectrum, 50, 0.001).skew > 1.2
    assert find_threshold(spectrum, 20000, 0.001).skew < 1.05
    means = rng.binomial(50, rare.mean(), 200_000) / 50
    assert np.mean((means - rare.mean()) ** 2 >= find_threshold(spectrum, 50, 0.005).value) <= 0.0075


def test_row_order_does_not_matter() -> None:
    reference = rows(400)
    a = MeanShift.fit(reference).check(rows(80, 1), 0.01)
    b = MeanShift.fit(reference[::-1]).check(rows(80, 1)[::-1], 0.01)
    assert a.statistic == pytest.approx(b.statistic)
    assert a.threshold == pytest.approx(b.threshold, rel=0.01)


def test_too_little_or_the_wrong_thing_is_refused() -> None:
    shift = MeanShift.fit(rows(100))
    with pytest.raises(BackstayError, match="10 effective rows"):
        shift.check(rows(10), 0.01)
    with pytest.raises(BackstayError, match="3 features"):
        shift.check(np.zeros((50, 3)), 0.01)
    with pytest.raises(BackstayError, match="30 rows"):
        MeanShift.fit(rows(30))
    with pytest.raises(BackstayError, match="5 groups"):
        MeanShift.fit(rows(100), np.arange(100) // 20)
    with pytest.raises(BackstayError, match="all reference rows are the same"):
        MeanShift.fit(np.ones((100, 2)))
    with pytest.raises(BackstayError, match="alpha"):
        shift.check(rows(50), 0.5)
    with pytest.raises(BackstayError, match="NaN"):
        shift.check(np.full((50, 16), np.nan), 0.01)
