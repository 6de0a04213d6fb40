from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import binom

from backstay.monitor.detectors.engagement import EngagementDetector
from backstay.monitor.traffic import Opinion, Rival, WindowData

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)


class Site:
    """Rows of a week and what people did with them."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.week = -1

    def rows(self, n, stem, *, click=0.2, dwell=None, delay=1.0, persons=None):
        start = BEGIN + timedelta(days=7 * self.week)
        moments = [start + timedelta(days=7 * i / n) for i in range(n)]
        ids = np.array([f"{stem}{self.week}-{i}" for i in range(n)], dtype=object)
        said = []
        for i in np.flatnonzero(self.rng.random(n) < click):
            said.append(self._said(ids[i], moments[i], "click", "true", delay))
        if dwell is not None:
            for i, seconds in enumerate(np.exp(self.rng.normal(size=n)) * dwell):
                said.append(self._said(ids[i], moments[i], "dwell", f"{seconds:.3f}", delay))
        times = np.array([np.datetime64(m.replace(tzinfo=None), "us") for m in moments])
        groups = None if persons is None else self.rng.integers(0, persons, n).astype(str).astype(object)
        return ids, times, groups, tuple(said)

    @staticmethod
    def _said(row, at, kind, value, delay):
        return Opinion(row, kind, value, "site", at + timedelta(hours=delay), "a", at)

    def window(self, n=1000, *, rival=None, planned=None, **parts):
        self.week += 1
        start = BEGIN + timedelta(days=7 * self.week)
        ids, times, groups, said = self.rows(n, "r", **parts)
        other = None
        if rival is not None:
            theirs = self.rows(n if planned is None else int(n * planned / (1 - planned)), "other", click=rival)
            other = Rival("release-1", *theirs, planned)
        end = start + timedelta(days=7)
        answers = np.full(n, "a", dtype=object)
        return WindowData(start, end, ids, times, answers, groups=groups, opinions=said, rival=other)


def learnt(site, look, **parts):
    state = {}
    for _ in range(2):
        signal, state = EngagementDetector().look(state, site.window(**parts), look())
        assert signal.message.startswith("not judged: learning what is usual")
        assert signal.alpha == 0.0
    return state


def test_a_fall_of_clicks_is_found_and_told_with_an_interval(look):
    site = Site(1)
    state = learnt(site, look)
    same, state = EngagementDetector().look(state, site.window(), look(0.004))
    assert not same.alarm
    signal, _ = EngagementDetector().look(state, site.window(click=0.08), look(0.004))
    assert signal.alarm
    assert signal.moved[0].startswith("click 19.6% at first -> 7.9% ")
    assert "since the release between " in signal.moved[0]


def test_a_rise_is_no_alarm_and_neither_is_a_small_fall(look):
    site = Site(2)
    state = learnt(site, look, n=20_000)
    assert not EngagementDetector().look(state, site.window(click=0.5), look(0.004))[0].alarm
    assert not EngagementDetector().look(state, site.window(20_000, click=0.195), look(0.004))[0].alarm


def test_a_week_without_any_of_few_clicks_is_no_alarm_and_of_many_it_is(look):
    """Seven clicks are expected of one, and none of seven is rare, but not that rare; t has no error to go by."""
    few, many = Site(10), Site(11)
    state, other = learnt(few, look, n=400, click=0.02), learnt(many, look, n=4000, click=0.02)
    assert not EngagementDetector().look(state, few.window(400, click=0.0), look(0.004))[0].alarm
    signal, _ = EngagementDetector().look(other, many.window(4000, click=0.0), look(0.004))
    assert signal.alarm
    assert signal.evidence > 1.5


def test_dwell_is_clipped_and_compared(look):
    site = Site(3)
    state = learnt(site, look, dwell=20.0)
    signal, _ = EngagementDetector().look(state, site.window(dwell=10.0), look(0.004))
    assert signal.alarm
    assert signal.moved[0].startswith("dwell ")
    low, high = state["kinds"]["dwell"]["limits"]
    assert 0 < low < 20 < high < 500


def test_what_comes_late_counts_neither_then_nor_now(look):
    site = Site(4)
    state = learnt(site, look, delay=30.0)
    assert state["kinds"]["click"]["used"] == 0.0
    young = Site(5)
    state = learnt(young, look)
    assert state["kinds"]["click"]["of"] == 2 * 858  # six of seven days are old enough


def test_rows_of_few_people_are_few(look):
    site = Site(6)
    state = learnt(site, look, persons=150)
    signal, _ = EngagementDetector().look(state, site.window(click=0.05, persons=150), look(0.004))
    assert signal.message == "not judged: fewer than 200 rows"


def test_a_restart_changes_nothing(look):
    one, two = Site(7), Site(7)
    state, other = learnt(one, look), learnt(two, look)
    again = EngagementDetector.from_json(json.loads(json.dumps(EngagementDetector().to_json())))
    plain = EngagementDetector().look(state, one.window(click=0.1, rival=0.2), look())
    assert again.look(json.loads(json.dumps(other)), two.window(click=0.1, rival=0.2), look()) == plain


def test_a_release_that_is_worse_than_its_rival_alarms(look):
    site = Site(8)
    state = learnt(site, look, click=0.2)
    found = []
    for _ in range(6):
        signal, state = EngagementDetector().look(state, site.window(click=0.19, rival=0.3), look(0.004))
        found.append(signal)
    assert found[-1].alarm
    assert "click less that of release-1: between -" in found[-1].moved[0]


def test_rows_that_are_not_dealt_as_planned_break_the_comparison(look):
    site = Site(9)
    state = learnt(site, look)
    fair, state = EngagementDetector().look(state, site.window(rival=0.2, planned=0.5), look())
    assert "do not compare" not in fair.message
    given = site.window(rival=0.2, planned=0.5)
    skewed = replace(given, rival=replace(given.rival, planned=0.8))
    signal, _ = EngagementDetector().look(state, skewed, look())
    assert "50.0% of rows went to the other release and 80.0% were meant to: do not compare" in signal.message
    told = "The two releases cannot be compared: 50.0% of rows went to the other release and 80.0% were meant to."
    assert signal.figures["advice"] == told
    assert "advice" not in fair.figures


def test_a_broken_split_is_told_before_anything_is_fed_back_and_is_remembered(look):
    site = Site(10)
    state: dict[str, object] = {}
    for _ in range(2):
        given = site.window(400, rival=0.0, planned=0.5, click=0.0)
        skewed = replace(given, opinions=(), rival=replace(given.rival, planned=0.6, opinions=()))
        signal, state = EngagementDetector().look(state, skewed, look())
    assert state["split"] == [800.0, 800.0]
    assert signal.message.startswith("not judged: no clicks")
    assert "50.0% of rows went to the other release and 60.0% were meant to" in signal.figures["advice"]


def test_nothing_is_judged_without_feedback(look, world):
    signal, state = EngagementDetector().look({}, world.window(), look())
    assert signal.message == "not judged: no clicks, conversions, dwell or ratings were fed back"
    assert state == {}


def alarm_rates(look, baselines, weeks, alpha, **parts):
    found = []
    for seed in range(baselines):
        site = Site(seed)
        state, alarms = learnt(site, look, **parts), 0
        for _ in range(weeks):
            signal, state = EngagementDetector().look(state, site.window(**parts), look(alpha, per_year=0.2))
            alarms += signal.alarm
        found.append(alarms / weeks)
    return np.array(found)


def test_weeks_without_a_change_are_quiet(look):
    found = alarm_rates(look, 4, 10, 0.05, n=500, rival=0.2)
    assert 40 * found.mean() <= binom.ppf(0.999, 40, 1.5 * 0.05)


@pytest.mark.prove
@pytest.mark.parametrize("parts", [{"n": 500}, {"n": 500, "rival": 0.2}, {"n": 400, "dwell": 20.0, "click": 0.02}])
def test_ninety_five_of_a_hundred_baselines_keep_the_promise(look, parts):
    alpha = 0.05
    found = alarm_rates(look, 60, 40, alpha, **parts)
    print(parts, found.mean(), np.quantile(found, 0.95))
    assert found.mean() <= alpha
    assert np.quantile(found, 0.95) <= 1.5 * alpha
