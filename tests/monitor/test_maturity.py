"""Labels that take their time, and bad news that comes first."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from backstay.kernel.clock import ManualClock
from backstay.monitor.fitted import Detectors
from backstay.monitor.maturity import mature_until
from backstay.monitor.memory import ChancePool, Memory
from backstay.monitor.watch import watch_window

SOON, LATE = timedelta(days=1), timedelta(days=25)


def slow(row):
    """An error is reported at once, that an answer was right is known weeks later."""
    delay = LATE if row.correct else SOON
    return replace(row, label=replace(row.label, at=row.predicted_at + delay))


def looks(world, settings, weeks: int, begin, arrives=slow):
    """A look a week, each with the labels that have come by then."""
    reference = world.reference()
    detectors = Detectors.fit(reference, settings)
    memory, results, rows = Memory.start("r", begin), [], ()
    for week in range(weeks):
        window = world.window(week, labels=60)
        rows += tuple(arrives(row) for row in window.labels)
        window = replace(window, labels=tuple(row for row in rows if row.arrived_at < window.end))
        result, memory = watch_window(memory, window, detectors, settings, ManualClock(window.end))
        memory = Memory.from_json(json.loads(json.dumps(memory.to_json())))
        results.append(result)
    return results, memory, rows


def accuracy(result):
    return next((e for e in result.estimates if e.kind in ("ppi", "labels") and e.metric == "accuracy"), None)


@pytest.fixture
def waiting(make_settings):
    return make_settings(labels={"maturity_days": 28}, watch={"detectors": ["labelled_error"]})


def test_without_a_wait_bad_news_comes_first(world, make_settings, begin):
    results, _, _ = looks(world, make_settings(watch={"detectors": ["labelled_error"]}), 2, begin)
    assert accuracy(results[0]).value == 0.0  # no answer can be known to be right yet


def test_a_window_counts_once_it_is_old_enough_and_whole(world, waiting, begin):
    results, memory, rows = looks(world, waiting, 9, begin)
    assert [accuracy(r) is None for r in results] == [True] * 4 + [False] * 5
    for week, result in enumerate(results[4:]):
        found = accuracy(result)
        mine = [row for row in rows if begin <= row.predicted_at - timedelta(days=7 * week) < begin + timedelta(days=7)]
        assert len(mine) == 60
        assert (found.labels, found.figures["right"]) == (60, sum(row.correct for row in mine))
        assert found.figures["to"] == (begin + timedelta(days=7 * (week + 1))).isoformat()
        assert f"labelled of the 7 days to {found.figures['to'][:10]}, 28 days later," in result.headline
    counted = [sum(c["labels"] for c in r.figures["labels_counted"]) for r in results]
    assert counted == [0] * 4 + [60] * 5
    assert all(r.figures["late_labels"] == 0 for r in results)
    young = [r for r in rows if r.predicted_at >= begin + timedelta(days=35) and r.arrived_at < results[-1].end]
    assert results[-1].figures["labels_waiting"] == len(young) > 0
    assert (
        f"{results[-1].figures['labels_waiting']} labels wait until their windows are 28 days old."
        in results[-1].advice
    )
    assert len(memory.pools) >= 4


def test_labels_that_come_after_their_window_was_mature_count_then_and_are_told(world, waiting, begin):
    def arrives(row):
        days = 40 if int(row.label.prediction_id.split("-")[1]) % 3 == 0 else 2
        return replace(row, label=replace(row.label, at=row.predicted_at + timedelta(days=days)))

    results, _, rows = looks(world, waiting, 12, begin, arrives)
    late = [r.figures["late_labels"] for r in results]
    assert late[4] == 0
    assert sum(late) == sum(
        row.arrived_at >= row.predicted_at + timedelta(days=40) and row.arrived_at < results[-1].end for row in rows
    )
    told = next(r for r in results if r.figures["late_labels"])
    assert any("came after their windows were 28 days old" in line for line in told.advice)
    counted = sum(c["labels"] for r in results for c in r.figures["labels_counted"])
    mature = begin + timedelta(days=7 * 12 - 28)
    assert counted == sum(row.predicted_at < mature and row.arrived_at < results[-1].end for row in rows)


def test_labels_of_rows_that_estimates_have_forgotten_are_told_with_the_wait_that_would_count_them(
    world, make_settings, begin
):
    def arrives(row):
        return replace(row, label=replace(row.label, at=row.predicted_at + timedelta(days=44, hours=5)))

    results, _, _ = looks(world, make_settings(watch={"detectors": ["labelled_error"]}), 9, begin, arrives)
    told = [[line for line in r.advice if "older than estimates look back" in line] for r in results]
    assert [len(lines) for lines in told] == [0] * 6 + [1] * 3
    assert all(accuracy(r) is None for r in results)
    assert told[6][0].split()[0] == str(results[6].figures["labels_counted"][0]["labels"])
    assert "Set labels.maturity_days = 45:" in told[6][0]
    patient = make_settings(labels={"maturity_days": 45}, watch={"detectors": ["labelled_error"]})
    waited, _, _ = looks(world, patient, 9, begin, arrives)
    assert not any("older than estimates look back" in line for r in waited for line in r.advice)
    assert any(accuracy(r) is not None for r in waited)


@pytest.mark.parametrize(("days", "window_days"), [(10, 7), (28, 7), (28, 40), (90, 7), (90, 60)])
def test_what_is_mature_is_still_remembered_when_it_counts(begin, days, window_days):
    """However long labels take and windows are, the newest mature window is among those that are kept."""
    memory, wait = Memory.start("r", begin), timedelta(days=days)
    step = timedelta(days=window_days)
    for number in range(20):
        end = begin + (number + 1) * step
        until = mature_until(memory, end, days)
        ends = [begin + (n + 1) * step for n in range(number)]
        assert until == max((e for e in ends if e <= end - wait), default=begin)
        memory = memory.with_pool(ChancePool(end - step, end, 100, ()), wait)
    assert len(memory.pools) <= (31 + days) / window_days + 3


def test_estimates_from_inputs_are_not_refused_for_an_age_that_labels_must_have(world, make_settings, begin):
    from backstay.monitor.estimate import stale

    memory = replace(Memory.start("r", begin), newest_label=begin)
    now = begin + timedelta(days=100)
    assert stale(memory, now, make_settings())
    assert not stale(memory, now, make_settings(labels={"maturity_days": 28}))
