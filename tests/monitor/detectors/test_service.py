from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import binom, t

from backstay.monitor.detectors.service import BASELINE_DAYS, ServiceDetector
from backstay.monitor.traffic import WindowData

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)


class Service:
    """A server whose latency follows the hour and the weekday, with days that are slow as a whole."""

    def __init__(self, seed, *, busy=0.0, slow_days=0.1, hourly=0.1, failing=0.01):
        self.rng = np.random.default_rng(seed)
        self.busy, self.slow_days, self.hourly, self.failing = busy, slow_days, hourly, failing

    def window(self, first_day, days=7, *, slower=1.0, failing=None, rows=12, from_hour=0, to_hour=24):
        at, waits, failed = [], [], []
        for day in range(first_day, first_day + days):
            luck = self.rng.normal() * self.slow_days
            for hour in range(from_hour, to_hour):
                usual = self.busy * (np.sin(hour / 24 * 2 * np.pi) + (day % 7 < 5))
                level = usual + luck + self.rng.normal() * self.hourly + np.log(20 * slower)
                moment = BEGIN + timedelta(days=day, hours=hour)
                at += [moment + timedelta(minutes=i) for i in range(rows)]
                waits.append(np.exp(level + self.rng.normal(size=rows) * 0.5))
                bad = self.rng.binomial(rows, self.failing if failing is None else failing)
                failed += [moment] * bad
        times = np.array([np.datetime64(t.replace(tzinfo=None), "us") for t in at])
        n = len(times)
        return WindowData(
            BEGIN + timedelta(days=first_day, hours=from_hour),
            BEGIN + timedelta(days=first_day + days - 1, hours=to_hour),
            np.array([f"{first_day}-{i}" for i in range(n)], dtype=object),
            times,
            np.full(n, "a", dtype=object),
            latencies=np.concatenate(waits),
            failures=np.array([np.datetime64(t.replace(tzinfo=None), "us") for t in failed], dtype="datetime64[us]"),
        )


def learnt(service, look, detector=None, weeks=2, **parts):
    detector, state = detector or ServiceDetector(), {}
    for week in range(weeks):
        signal, state = detector.look(state, service.window(7 * week), look(**parts))
        assert not signal.figures["judged"]
        assert signal.alpha == 0.0
    return state


def test_the_first_two_weeks_are_learnt_from(look):
    service = Service(1)
    signal, state = ServiceDetector().look({}, service.window(0), look())
    assert signal.message == f"not judged: learning what is usual: 7 of {BASELINE_DAYS} days"
    assert not state["complete"]
    assert learnt(service, look)["complete"]


def test_answers_that_take_half_as_long_again_alarm(look):
    service = Service(2)
    state = learnt(service, look)
    window = service.window(14, slower=1.5)
    signal, after = ServiceDetector().look(state, window, look(0.004))
    assert signal.alarm
    assert after == state
    assert signal.moved[0].startswith("median latency ")
    slowest = window.ids[np.argsort(-window.latencies)[:8]]
    assert signal.example_ids == tuple(slowest)


def by_hour(window):
    hours = window.times.astype("datetime64[h]")
    return np.array([np.log(np.median(window.latencies[hours == hour])) for hour in np.unique(hours)])


def test_latency_may_spend_half_of_the_level(look):
    """Of two hours a day, days being the units: a rise over Student's t beyond the limit of the baseline's mean."""
    service = Service(6, failing=0.0)
    learnt_from, now = (service.window(day, n, from_hour=9, to_hour=11) for day, n in ((0, 14), (14, 7)))
    detector, alpha = ServiceDetector(), 0.01
    _, state = detector.look({}, learnt_from, look(alpha))
    now = replace(now, latencies=now.latencies * 1.5)
    signal, _ = detector.look(state, now, look(alpha))
    before = by_hour(learnt_from)
    apart = np.array([value - np.delete(before, i).mean() for i, value in enumerate(before)])
    spread = np.std(apart.reshape(14, 2).mean(axis=1), ddof=1)
    needed = spread * (t.ppf(0.95, 13) / 14**0.5 + t.ppf(1 - alpha / 2, 13) / 7**0.5)
    rise = by_hour(now).mean() - before.mean()
    assert signal.figures["evidence_by_number"]["latency"] == pytest.approx(rise / needed)


def test_more_failures_alarm_and_faster_answers_do_not(look):
    service = Service(3)
    state = learnt(service, look)
    signal, _ = ServiceDetector().look(state, service.window(14, failing=0.3), look(0.004))
    assert signal.alarm
    assert signal.moved[0].startswith("failed requests ")
    assert not ServiceDetector().look(state, service.window(14, slower=0.3), look(0.004))[0].alarm


def test_a_busy_hour_is_compared_with_busy_hours(look):
    """A window of mornings alone: slow for the day as a whole, usual for a morning."""
    service = Service(4, busy=1.0)
    for season, alarm in (("week", False), ("day", False), ("none", True)):
        state = learnt(service, look, season=season)
        mornings = service.window(14, 5, from_hour=3, to_hour=9)
        assert ServiceDetector().look(state, mornings, look(0.01, season=season))[0].alarm == alarm, season


def test_rows_without_latencies_are_not_judged(world, look):
    signal, _ = ServiceDetector().look({}, world.window(), look())
    assert signal.message.startswith("not judged: no latencies are logged (predictions.latency names")


def test_a_restart_changes_nothing(look):
    service = Service(5)
    state = learnt(service, look)
    window = service.window(14, slower=1.2)
    again = ServiceDetector.from_json(json.loads(json.dumps(ServiceDetector().to_json())))
    assert again.look(json.loads(json.dumps(state)), window, look()) == ServiceDetector().look(state, window, look())


def rates(look, references, windows, alpha, season, days=7, **parts):
    """Alarms of each baseline over the weeks that follow it."""
    found = []
    for seed in range(references):
        service = Service(seed, **parts)
        state = learnt(service, look, season=season)
        alarms = [
            ServiceDetector().look(state, service.window(14 + 7 * w, days, rows=6), look(alpha, season=season))[0].alarm
            for w in range(windows)
        ]
        found.append(np.mean(alarms))
    return np.array(found)


def test_weeks_without_a_change_are_quiet(look):
    found = rates(look, 4, 10, 0.05, "week", busy=0.5)
    assert 40 * found.mean() <= binom.ppf(0.999, 40, 1.5 * 0.05)


@pytest.mark.prove
@pytest.mark.parametrize(("season", "busy", "days"), [("none", 0.0, 7), ("week", 0.5, 7), ("week", 0.5, 1)])
def test_ninety_five_of_a_hundred_baselines_keep_the_promise(look, season, busy, days):
    alpha = 0.05
    found = rates(look, 60, 40, alpha, season, days, busy=busy)
    print(season, days, found.mean(), np.quantile(found, 0.95))
    assert found.mean() <= alpha
    assert np.quantile(found, 0.95) <= 1.5 * alpha + 2 * np.sqrt(0.075 * 0.925 / 40)
