"""The weighted line, its band, the threshold's time, and the interval of a median."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress, t

from backstay.kernel.errors import BackstayError
from backstay.maths.intervals import clopper_pearson
from backstay.maths.trend import crossing, fit_line, median_interval, worth

COUNTS = st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1)), min_size=3, max_size=12)


def stream(counts):
    """Times a week apart, shares, rows."""
    rows = np.array([float(n) for n, _ in counts])
    shares = np.array([round(n * share) / n for n, share in counts])
    return 7.0 * np.arange(len(counts)), shares, rows


def slope_by_loop(times, shares, rows):
    total = centre = mean = 0.0
    for at, share, n in zip(times, shares, rows, strict=True):
        total, centre, mean = total + n, centre + n * at, mean + n * share
    centre, mean = centre / total, mean / total
    above = below = 0.0
    for at, share, n in zip(times, shares, rows, strict=True):
        above += n * (at - centre) * (share - mean)
        below += n * (at - centre) ** 2
    return above / below, mean, centre


@given(COUNTS)
def test_the_slope_is_that_of_a_plain_loop(counts):
    times, shares, rows = stream(counts)
    line = fit_line(times, shares, rows)
    assert (line.slope, line.level, line.centre) == pytest.approx(slope_by_loop(times, shares, rows), abs=1e-9)


def test_the_scatter_part_of_the_interval_is_that_of_ordinary_least_squares():
    times = np.arange(6.0)
    shares = np.array([0.9, 0.5, 0.95, 0.4, 0.9, 0.45])
    line = fit_line(times, shares, np.full(6, 500.0))
    plain = linregress(times, shares)
    half = t.ppf(0.975, 4) * plain.stderr
    low, high = line.slope_interval
    assert (low, high) == pytest.approx((plain.slope - half, plain.slope + half))


@given(COUNTS, st.floats(1.0, 50.0))
def test_more_labels_never_widen(counts, times_more):
    times, shares, rows = stream(counts)
    few, many = fit_line(times, shares, rows), fit_line(times, shares, rows * times_more)
    assert many.slope_interval.width <= few.slope_interval.width * (1 + 1e-9)
    for at in (-20.0, 0.0, 100.0):
        assert many.half(at) <= few.half(at) * (1 + 1e-9)


@given(COUNTS, st.floats(-1e4, 1e4), st.floats(0.5, 0.99))
def test_it_does_not_matter_where_time_begins(counts, shift, threshold):
    times, shares, rows = stream(counts)
    here, there = fit_line(times, shares, rows), fit_line(times + shift, shares, rows)
    assert there.slope == pytest.approx(here.slope, abs=1e-9)
    assert there.slope_interval.width == pytest.approx(here.slope_interval.width, rel=1e-6)
    end = float(times[-1])
    first = crossing(here, threshold, end, end + 365.0)
    second = crossing(there, threshold, end + shift, end + shift + 365.0)
    assert first.state == second.state or abs(here.level - threshold) < 1e-6
    if first.earliest is not None and second.earliest is not None:
        assert second.earliest - shift == pytest.approx(first.earliest, abs=1e-3)


@given(COUNTS, st.floats(0.05, 0.99))
def test_the_time_of_a_threshold_is_what_a_walk_along_the_band_finds(counts, threshold):
    times, shares, rows = stream(counts)
    line = fit_line(times, shares, rows)
    start, end = float(times[-1]), float(times[-1]) + 365.0
    found = crossing(line, threshold, start, end)
    walk = np.linspace(start, end, 3000)
    lows = np.array([line.at(u) - line.half(u) for u in walk])
    highs = np.array([line.at(u) + line.half(u) for u in walk])
    step = walk[1] - walk[0]
    touched = walk[(lows <= threshold) & (highs >= threshold)]
    if found.state == "below":
        assert highs[0] < threshold
    elif found.state == "not within":
        assert lows.min() > threshold - 1e-6
    elif found.state == "not before":
        assert lows[0] > threshold
        assert found.earliest == pytest.approx(touched[0], abs=2 * step)
        assert highs[-1] >= threshold - 1e-6
    elif found.state == "between":
        assert found.earliest <= found.expected <= found.latest
        assert line.at(found.expected) == pytest.approx(threshold)
        if len(touched):
            assert found.earliest == pytest.approx(touched[0], abs=2 * step)
            assert found.latest == pytest.approx(touched[-1], abs=2 * step)
        assert highs[-1] < threshold + 1e-6
    elif found.state == "by":
        assert found.latest == pytest.approx(touched[-1], abs=2 * step)
    else:
        assert lows[0] <= threshold <= highs[0]


def test_each_answer_about_a_threshold():
    weeks = 7.0 * np.arange(10)
    falling = fit_line(weeks, 0.97 - 0.002 * weeks, np.full(10, 400.0))
    level = fit_line(weeks, np.full(10, 0.97), np.full(10, 4000.0))
    unsure = fit_line(weeks, np.full(10, 0.92), np.full(10, 12.0))
    low = fit_line(weeks, np.array([0.6, 0.7] * 5), np.full(10, 60.0))
    assert crossing(falling, 0.9, 63.0, 428.0).state == "below"
    between = crossing(falling, 0.7, 63.0, 428.0)
    assert between.state == "between"
    assert between.expected == pytest.approx(135.0)
    assert crossing(falling, 0.7, 63.0, 70.0).state == "not within"
    assert crossing(falling, 0.845, 63.0, 428.0).state == "by"
    assert crossing(level, 0.7, 63.0, 428.0).state == "not within"
    assert crossing(level, 0.96, 63.0, 428.0).state == "not before"
    assert crossing(unsure, 0.9, 63.0, 428.0).state == "unknown"
    assert crossing(low, 0.78, 120.0, 428.0).state == "was below"


def test_nothing_is_said_beyond_the_horizon():
    weeks = 7.0 * np.arange(10)
    line = fit_line(weeks, 0.97 - 0.002 * weeks, np.full(10, 400.0))
    for ahead in (10.0, 60.0, 90.0, 400.0):
        found = crossing(line, 0.7, 63.0, 63.0 + ahead)
        for time in (found.earliest, found.latest):
            assert time is None or 63.0 <= time <= 63.0 + ahead


def test_what_points_share_is_not_taken_away_by_more_points():
    weeks = 7.0 * np.arange(40)
    shares, rows = np.full(40, 0.9), np.full(40, 400.0)
    alone, shared = fit_line(weeks, shares, rows), fit_line(weeks, shares, rows, shared=0.015**2)
    assert shared.half(shared.centre) > 1.9 * 0.015 > 3 * alone.half(alone.centre)
    assert shared.slope_interval == alone.slope_interval


@given(st.integers(5, 400), st.floats(0.0, 1.0))
def test_an_interval_is_worth_the_rows_it_was_made_of(n, share):
    right = round(n * share)
    assert worth(right / n, *clopper_pearson(right, n)) == pytest.approx(n, rel=1e-4)


@pytest.mark.parametrize(
    ("times", "rows"), [([0.0, 1.0], [5.0, 5.0]), ([2.0] * 3, [5.0] * 3), ([0, 1, 2.0], [5, 0, 5])]
)
def test_no_line_through_too_little(times, rows):
    with pytest.raises(BackstayError, match="points give no line"):
        fit_line(np.array(times), np.full(len(times), 0.9), np.array(rows, dtype=float))


def test_a_search_that_looks_back_is_refused():
    line = fit_line(np.arange(3.0), np.full(3, 0.9), np.full(3, 50.0))
    with pytest.raises(BackstayError, match="look ahead"):
        crossing(line, 0.8, 10.0, 10.0)


def test_the_interval_of_a_median_covers_by_counting():
    """P(miss) by a loop over the binomial, and one step narrower would miss too often."""
    from math import comb

    for n in range(1, 40):
        bounds = median_interval([float(i) for i in range(n)])
        if bounds is None:
            assert n < 6
            continue
        k = int(bounds.low) + 1
        assert bounds.high == n - k
        miss = [2 * sum(comb(n, i) for i in range(j)) / 2**n for j in (k, k + 1)]
        assert miss[0] <= 0.05 < miss[1]


def simulated(rng, runs, weeks, labels, start, slope, wiggle=0.0):
    """How often the intervals of slope and of accuracy four weeks ahead hold the truth."""
    held = ahead = 0
    times = np.arange(weeks) * 7.0
    for _ in range(runs):
        truth = np.clip(start + slope * times + wiggle * rng.normal(size=weeks), 0.0, 1.0)
        rows = rng.integers(max(labels // 2, 1), labels * 3 // 2 + 1, weeks)
        line = fit_line(times, rng.binomial(rows, truth) / rows, rows.astype(float))
        held += line.slope_interval.low <= slope <= line.slope_interval.high
        later = times[-1] + 28.0
        ahead += abs(line.at(later) - start - slope * later) <= line.half(later)
    return held / runs, ahead / runs


STREAMS = [(4, 50, 0.95, 0.0), (8, 12, 0.9, 0.0), (8, 12, 0.98, 0.0), (12, 12, 0.9, -0.002), (12, 50, 0.97, -0.002)]


@pytest.mark.parametrize("stream_of", STREAMS)
def test_the_intervals_hold_the_truth(stream_of):
    held, ahead = simulated(np.random.default_rng(3), 400, *stream_of)
    # 95% less four standard errors of 400 runs.
    assert min(held, ahead) >= 0.95 - 4 * 0.0109


def test_a_mutant_that_counts_labels_twice_fails():
    """Windows that each lean on the labels of the three before: what `labels_counted` is there to prevent."""
    rng = np.random.default_rng(5)
    held = 0
    times = np.arange(12) * 7.0
    for _ in range(300):
        right = rng.binomial(12, 0.9, 15)
        pooled = np.array([right[i : i + 4].sum() / 48 for i in range(12)])
        low, high = fit_line(times, pooled, np.full(12, 48.0)).slope_interval
        held += low <= 0.0 <= high
    assert held / 300 < 0.9


def test_a_band_is_inside_nought_and_one():
    line = fit_line(7.0 * np.arange(3), np.array([1.0, 1.0, 0.8]), np.full(3, 5.0))
    bands = [line.band(at) for at in range(0, 400, 20)]
    assert all(0.0 <= low <= high <= 1.0 for low, high in bands)


def test_a_band_opens_the_further_it_looks_ahead():
    line = fit_line(7.0 * np.arange(5), np.array([1.0, 0.9, 1.0, 0.8, 0.9]), np.full(5, 30.0))
    halves = [line.half(at) for at in range(14, 400, 7)]
    assert all(near < far for near, far in pairwise(halves))
