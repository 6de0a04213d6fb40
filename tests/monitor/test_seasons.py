from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import binom

from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import BackstayError
from backstay.monitor.fitted import SEASONAL, Detectors
from backstay.monitor.memory import Memory
from backstay.monitor.reference import Reference
from backstay.monitor.seasons import SEASONS, cells, hour_cells, like_rows
from backstay.monitor.watch import watch_window

BEGIN = datetime(2023, 1, 2, tzinfo=UTC)


def times_of(rng, n, days, first=0):
    """Moments spread evenly over days, in order."""
    start = np.datetime64(BEGIN.replace(tzinfo=None), "us") + np.timedelta64(first, "D")
    return np.sort(start + (rng.random(n) * days * 86_400e6).astype("timedelta64[us]"))


def level(times, season):
    """A wave with the period of the season; of the week with one of the day on it."""
    hours = times.astype("datetime64[h]").astype(np.int64)
    period = {"day": 24, "week": 168, "year": 24 * 365}[season]
    return 0.8 * np.cos(2 * np.pi * hours / period) + (season == "week") * 0.6 * np.cos(2 * np.pi * hours / 24)


def with_season(world, n, days, first=0, shift=0.0, season="week"):
    """Reference rows and a window of these days, whose mean follows the seasons."""
    times = times_of(world.rng, n, days, first)
    base = world.window(n=n, columns=False)
    x = base.representation.copy()
    x[:, 1] += level(times, season) + shift
    start = BEGIN + timedelta(days=first)
    columns = {"age": x[:, 1].copy()}
    parts = {"times": times, "representation": x, "columns": columns, "traits": {}}
    return replace(base, start=start, end=start + timedelta(days=days), **parts)


def reference_of(window) -> Reference:
    return Reference(
        window.predicted, ("cat", "dog", "eel"), window.representation, columns=window.columns, times=window.times
    )


def judged(reference, window, settings):
    clock = ManualClock(window.end)
    detectors = Detectors.fit(reference, settings)
    return watch_window(Memory.start("r", window.start), window, detectors, settings, clock)[0]


def test_like_rows_have_the_windows_mix_of_hours(world):
    rng = world.rng
    reference, mornings = times_of(rng, 8000, 28), times_of(rng, 3000, 7, 70)
    mornings = mornings[(mornings.astype("datetime64[h]").astype(int) % 24 < 12) | (rng.random(3000) < 0.1)]
    rows = like_rows(reference, mornings, "day")
    assert len(np.unique(rows)) == len(rows) > 3000
    found = np.bincount(cells(reference[rows], "day"), minlength=8) / len(rows)
    wanted = np.bincount(cells(mornings, "day"), minlength=8) / len(mornings)
    assert np.abs(found - wanted).max() < 0.005
    assert np.array_equal(rows, like_rows(reference, mornings, "day"))


def test_hours_that_the_reference_never_saw_are_not_compared(world):
    reference, window = times_of(world.rng, 500, 5), times_of(world.rng, 500, 7)
    assert like_rows(reference, window, "week") is None
    assert like_rows(reference, window, "day") is not None


def test_weeks_of_the_year_are_those_of_any_year():
    stamps = np.array(["2010-12-24", "2011-12-03", "2011-01-03"], dtype="datetime64[h]").astype(int)
    assert hour_cells(stamps, "year").tolist() == [51, 48, 0]
    assert hour_cells(stamps, "none").tolist() == [0, 0, 0]
    assert SEASONS == ("none", "day", "week", "year")


@pytest.mark.parametrize(("season", "days"), [("day", 0.25), ("week", 1.0)])
def test_a_window_of_part_of_the_season_is_quiet_with_it_and_alarms_without(world, make_settings, season, days):
    reference = reference_of(with_season(world, 4000, 28, season=season))
    window = with_season(world, 300, days, 30, season=season)
    names = {"detectors": ["columns"]}
    with_it = judged(reference, window, make_settings(watch={**names, "season": season}))
    without = judged(reference, window, make_settings(watch=names))
    assert not any(signal.alarm for signal in with_it.signals)
    assert any(signal.alarm for signal in without.signals)
    moved = with_season(world, 400, days, 30, 0.8, season)
    assert any(
        signal.alarm for signal in judged(reference, moved, make_settings(watch={**names, "season": season})).signals
    )


def test_without_times_it_is_refused_with_a_way_out(world, make_settings):
    reference = replace(reference_of(with_season(world, 600, 28)), times=None)
    with pytest.raises(BackstayError, match="not known when the reference rows happened") as caught:
        judged(reference, with_season(world, 100, 1), make_settings(watch={"season": "week"}))
    assert "data.time" in caught.value.fix


def test_what_the_reference_lacks_is_said_and_spends_nothing(world, make_settings):
    reference = reference_of(with_season(world, 600, 5))
    result = judged(reference, with_season(world, 300, 2, 12), make_settings(watch={"season": "week"}))
    unjudged = {signal.detector: signal for signal in result.signals if signal.detector in SEASONAL}
    assert set(unjudged) == {"columns", "embedding", "prediction"}
    for signal in unjudged.values():
        assert signal.message == "not judged: the reference has no rows of the same part of the week"
        assert signal.alpha == 0.0


def test_times_change_the_digest_where_they_are(world):
    reference = reference_of(with_season(world, 200, 5))
    assert reference.digest != replace(reference, times=None).digest


@pytest.mark.prove
def test_three_years_with_a_known_season_raise_no_more_alarms_than_they_may(world, make_settings):
    """One year of reference, two years of weeks compared with the same weeks."""
    reference = reference_of(with_season(world, 60_000, 365, season="year"))
    settings = make_settings(watch={"detectors": ["columns"], "season": "year"}, budget={"false_alarms_per_year": 2.0})
    weeks = [with_season(world, 1000, 7, 365 + 7 * week, season="year") for week in range(104)]
    alarms = sum(judged(reference, window, settings).signals[0].alarm for window in weeks)
    blind = make_settings(watch={"detectors": ["columns"]}, budget={"false_alarms_per_year": 2.0})
    without = sum(judged(reference, window, blind).signals[0].alarm for window in weeks)
    print("alarms in two years of weeks, with and without the season:", alarms, without)
    assert alarms <= binom.ppf(0.999, 104, 1.5 * 2.0 / 52)
    assert without > 80
