from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import LabelUse
from backstay.monitor.detectors.groups import GroupsDetector, _Stream
from backstay.monitor.reference import fit_reference
from backstay.monitor.traffic import WindowData

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
SITES = ("north", "south", "west")


def reference(rng, n=1500, error=0.1, sites=SITES):
    return fit_reference(
        np.full(n, "a", dtype=object),
        ("a", "b"),
        correct=rng.random(n) >= error,
        slices={"site": rng.choice(np.array(sites, dtype=object), n)},
    )


def window(rng, make_label, labels, errors, week=0, shares=(0.2, 0.4, 0.4), **parts):
    """A week with labels whose error depends on the site: errors by site."""
    start = BEGIN + timedelta(days=7 * week)
    found = []
    for i, site in enumerate(rng.choice(len(SITES), labels, p=shares)):
        truth = "b" if rng.random() < errors[site] else "a"
        at = start + timedelta(minutes=i)
        row = make_label(f"{week}-{i}", "a", truth, at, **parts)
        found.append(replace(row, slices={"site": SITES[site]}))
    ids = np.array(["x"], dtype=object)
    times = np.array([np.datetime64("2026-01-05", "us")])
    answers = np.array(["a"], dtype=object)
    return WindowData(start, start + timedelta(days=7), ids, times, answers, labels=tuple(found))


def weeks(detector, rng, make_label, look, errors, count, labels=12, state=None):
    state, signals = state or {}, []
    for week in range(count):
        given = look(years=(week + 1) / 52)
        signal, state = detector.look(state, window(rng, make_label, labels, errors, week), given)
        signals.append(signal)
    return signals, state


def test_a_group_that_falls_behind_is_found_and_named(make_label, look):
    rng = np.random.default_rng(1)
    detector = GroupsDetector.fit(reference(rng))
    signals, _ = weeks(detector, rng, make_label, look, (0.6, 0.1, 0.1), 40, labels=30)
    first = next(signal for signal in signals if signal.alarm)
    assert first.figures["worst"] == "site=north"
    assert first.moved[0].startswith("site=north: ")
    assert "(accuracy between " in first.moved[0]
    assert "; all others: " in first.moved[0]
    assert 1 <= len(first.example_ids) <= 8


def test_groups_that_become_worse_together_are_no_gap(make_label, look):
    rng = np.random.default_rng(2)
    signals, _ = weeks(GroupsDetector.fit(reference(rng)), rng, make_label, look, (0.5, 0.5, 0.5), 40, labels=30)
    assert not any(signal.alarm for signal in signals)


def test_a_gap_that_the_reference_had_is_no_news(make_label, look):
    rng = np.random.default_rng(3)
    given = reference(rng, 3000)
    north = np.array([site == "north" for site in given.slices["site"]])
    given.correct[north] = rng.random(int(north.sum())) >= 0.5
    signals, _ = weeks(GroupsDetector.fit(given), rng, make_label, look, (0.5, 0.1, 0.1), 40, labels=30)
    assert not any(signal.alarm for signal in signals)


def test_an_alarm_ends_when_the_group_is_back(make_label, look):
    rng = np.random.default_rng(1)
    detector = GroupsDetector.fit(reference(rng))
    signals, state = weeks(detector, rng, make_label, look, (0.7, 0.1, 0.1), 30, labels=30)
    assert signals[-1].alarm
    after, _ = weeks(detector, rng, make_label, look, (0.05, 0.1, 0.1), 30, labels=30, state=state)
    assert not after[-1].alarm


def test_a_restart_between_looks_changes_nothing(make_label, look):
    detector = GroupsDetector.fit(reference(np.random.default_rng(4)))
    plain, _ = weeks(detector, np.random.default_rng(5), make_label, look, (0.4, 0.1, 0.1), 10)
    rng, state, signals = np.random.default_rng(5), {}, []
    for week in range(10):
        again = GroupsDetector.from_json(json.loads(json.dumps(detector.to_json())))
        given = window(rng, make_label, 12, (0.4, 0.1, 0.1), week)
        signal, state = again.look(json.loads(json.dumps(state)), given, look(years=(week + 1) / 52))
        signals.append(signal)
    assert signals == plain


def test_only_labels_of_the_standing_sample_speak(make_label, look):
    rng = np.random.default_rng(6)
    detector = GroupsDetector.fit(reference(rng))
    for parts in ({"trusted": False}, {"use": LabelUse.TRAIN}, {"probability": None}):
        signal, _ = detector.look({}, window(rng, make_label, 200, (1.0, 0.0, 0.0), **parts), look())
        assert signal.message == "not judged: no labels of a standing sample of two groups yet"
        assert signal.alpha == 0.0


def test_pairs_are_the_groups_row_and_the_mean_of_the_others_before_it():
    rows = [(False, 1.0), (False, 0.0), (True, 1.0), (True, 0.0), (False, 1.0), (False, 0.0)]
    whole, pairs = _Stream().paired(rows)
    assert pairs == [0.75, 0.0]
    half, first = _Stream().paired(rows[:3])
    rest, second = _Stream.from_json(json.loads(json.dumps(half.to_json()))).paired(rows[3:])
    assert [*first, *second] == pairs
    assert rest == whole


def test_small_groups_are_named_and_left_out(make_label):
    rng = np.random.default_rng(7)
    given = reference(rng)
    given.slices["site"][:5] = "harbour"
    assert GroupsDetector.fit(given).unwatched == ("site=harbour",)
    assert GroupsDetector.fit(replace(given, slices={})) is None
    with pytest.raises(BackstayError, match="no group of site"):
        GroupsDetector.fit(reference(rng, 40))


def groups_told(make_label, look, wrong, of, others_wrong, others, given=None):
    """The quiet message of one look: `wrong` of `of` labels of the north, and of the south."""
    rows = [
        replace(make_label(f"{site}-{i}", "a", "b" if i < bad else "a", BEGIN), slices={"site": site})
        for site, bad, count in (("north", wrong, of), ("south", others_wrong, others))
        for i in range(count)
    ]
    plain = window(np.random.default_rng(1), make_label, 1, (0.1, 0.1, 0.1))
    detector = GroupsDetector.fit(reference(np.random.default_rng(11), 3000) if given is None else given)
    # Too many labels a look for the yearly steps: a few blocks of them prove nothing yet.
    signal, _ = detector.look({}, replace(plain, labels=tuple(rows)), look(labels_per_year=1))
    assert not signal.alarm
    return signal.message


def test_quiet_words_do_not_contradict_their_own_figures(make_label, look):
    apart = groups_told(make_label, look, 100, 100, 12, 100)
    assert apart.startswith("no proof yet that a group fell behind the others; worst off is site=north: 0 of the last ")
    assert "; all others: 88 of the last 100 right" in apart
    assert apart.endswith(" of what would alarm)")
    alike = groups_told(make_label, look, 10, 100, 9, 100)
    assert alike.startswith("no group fell behind the others; worst off is site=north: 90 of the last 100")
    few = groups_told(make_label, look, 1, 1, 0, 2)
    assert few.startswith("no group fell behind the others; worst off is site=north: 0 of the last 1 right")


def test_a_gap_that_the_reference_had_is_told_as_such(make_label, look):
    rng = np.random.default_rng(12)
    given = reference(rng, 3000)
    north = np.array([site == "north" for site in given.slices["site"]])
    given.correct[north] = rng.random(int(north.sum())) >= 0.6
    told = groups_told(make_label, look, 55, 100, 10, 100, given)
    assert told.startswith("no group fell further behind the others than the reference leaves possible; worst off is")


def alarms_in_years(detector, rng, make_label, look, errors, years):
    found = 0
    for _ in range(years):
        signals, _ = weeks(detector, rng, make_label, look, errors, 26, labels=23)
        found += any(signal.alarm for signal in signals)
    return found


def test_half_a_year_without_a_gap_is_quiet(make_label, look):
    rng = np.random.default_rng(8)
    detector = GroupsDetector.fit(reference(rng, 2000))
    assert alarms_in_years(detector, rng, make_label, look, (0.1, 0.1, 0.1), 6) <= 2


@pytest.mark.prove
def test_false_alarms_of_many_references_are_within_the_share(make_label, look):
    """.4 a year asked for: at most .2 in half a year, for each of 95 in 100 references."""
    rng = np.random.default_rng(9)
    rates = []
    for _ in range(40):
        detector = GroupsDetector.fit(reference(rng, 600))
        rates.append(alarms_in_years(detector, rng, make_label, look, (0.1, 0.1, 0.1), 10) / 10)
    assert np.mean(rates) <= 0.2
    assert np.quantile(rates, 0.95) <= 1.5 * 0.2


@pytest.mark.prove
def test_delay_to_a_gap_of_half_the_rows(make_label, look):
    rng = np.random.default_rng(10)
    delays = []
    for _ in range(20):
        detector = GroupsDetector.fit(reference(rng, 1500))
        signals, _ = weeks(detector, rng, make_label, look, (0.6, 0.1, 0.1), 52, labels=12)
        delays.append(next((week for week, signal in enumerate(signals) if signal.alarm), 99))
    print("weeks to the alarm, a fifth of 12 labels a week:", sorted(delays))
    assert np.median(delays) <= 50
