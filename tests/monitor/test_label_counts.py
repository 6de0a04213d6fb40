"""Each label is told to the trend once, by the window that its row was predicted in; and the advice about labels."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.clock import ManualClock
from backstay.kernel.codec import decode, encode
from backstay.kernel.records import WindowResult
from backstay.maths.intervals import clopper_pearson
from backstay.monitor.condition import labels_sentence
from backstay.monitor.estimate import from_labels
from backstay.monitor.fitted import Detectors
from backstay.monitor.memory import ChancePool, LabelPoint, Memory
from backstay.monitor.watch import watch_window


@pytest.fixture
def counted(world, settings, begin):
    """Watches windows, after each of which the memory is read from its file; answers what each look counted."""
    detectors = Detectors.fit(world.reference(600), settings)

    def look(windows):
        memory, found = Memory.start("release-1", begin), []
        for window in windows:
            result, memory = watch_window(memory, window, detectors, settings, ManualClock(begin))
            memory = Memory.from_json(json.loads(json.dumps(memory.to_json())))
            found.append(decode(WindowResult, json.loads(json.dumps(encode(result)))).figures["labels_counted"])
        return found

    return look


def test_late_labels_count_for_the_window_they_were_predicted_in(world, counted, begin):
    first, second = world.window(0, n=120, labels=20), world.window(1, n=120, labels=15)
    early, late = first.labels[:8], first.labels[8:]
    # A look is handed every label that there is, those of earlier looks too.
    told = counted([replace(first, labels=early), replace(second, labels=first.labels + second.labels)])
    assert [[(c["start"], c["labels"]) for c in look] for look in told] == [
        [(begin.isoformat(), 8)],
        [(begin.isoformat(), 12), ((begin + timedelta(weeks=1)).isoformat(), 15)],
    ]
    assert told[0][0]["right"] == sum(row.correct for row in early)
    assert told[1][0]["right"] == sum(row.correct for row in late)
    mean = np.mean([row.predicted_at.timestamp() for row in late])
    assert datetime.fromisoformat(told[1][0]["at"]).timestamp() == pytest.approx(mean)


def test_a_row_of_the_very_moment_at_which_a_window_begins_is_of_that_window(world, counted, begin):
    first, second = world.window(0, n=120), world.window(1, n=120, labels=1)
    edge = tuple(replace(row, predicted_at=second.start) for row in second.labels)
    told = counted([first, replace(second, labels=edge)])
    assert [c["start"] for c in told[1]] == [second.start.isoformat()]


def test_labels_that_nobody_drew_by_chance_are_not_counted(world, counted):
    window = world.window(0, n=120, labels=20)
    chosen = tuple(
        replace(row, label=replace(row.label, probability=None)) if i < 5 else row
        for i, row in enumerate(window.labels)
    )
    assert counted([replace(window, labels=chosen)])[0][0]["labels"] == 15


def test_a_group_speaks_once_with_its_share(world, counted):
    window = world.window(0, n=120, labels=20)
    named = tuple(
        replace(row, label=replace(row.label, group=f"scan-{i // 6}" if i < 18 else None))
        for i, row in enumerate(window.labels)
    )
    (told,) = counted([replace(window, labels=named)])[0]
    right = [row.correct for row in named]
    shares = [np.mean(right[at : at + 6]) for at in (0, 6, 12)] + right[18:]
    assert (told["labels"], told["right"]) == (20, sum(right))
    assert told["by_group"]["labels"] == 5
    assert told["by_group"]["right"] == pytest.approx(sum(shares))
    assert "by_group" not in counted([window])[0][0]


def test_labels_from_before_all_windows_that_are_remembered(world, counted, begin):
    first = world.window(0, n=120, labels=10)
    told = counted([replace(first, labels=()), *(world.window(week, n=120) for week in range(8, 10))])
    assert told == [[], [], []]
    later = replace(world.window(16, n=120), labels=first.labels)
    cell = counted([replace(first, labels=()), world.window(8, n=120), later])[-1][0]
    assert (cell["labels"], cell["right"]) == (10, sum(row.correct for row in first.labels))
    assert datetime.fromisoformat(cell["start"]) == min(row.predicted_at for row in first.labels)


def remembered(right: int, n: int, begin: datetime) -> Memory:
    points = tuple(LabelPoint(f"row-{i}", begin + timedelta(hours=i % 160), i < right, None) for i in range(n))
    return replace(
        Memory.start("r", begin), labels=points, pools=(ChancePool(begin, begin + timedelta(days=7), 900, ()),)
    )


@given(st.integers(10, 200), st.floats(0.0, 1.0))
def test_so_many_more_labels_halve_the_interval(n, share):
    begin = datetime.fromisoformat("2026-01-05T00:00:00+00:00")
    right = round(n * share)
    found = from_labels(remembered(right, n, begin), None)
    assert (found.interval.low, found.interval.high) == pytest.approx(clopper_pearson(right, n))
    half = (found.interval.high - found.interval.low) / 2
    more = n + found.labels_needed
    assert clopper_pearson(more * right / n, more).width <= half + 1e-9
    assert clopper_pearson((more - 1) * right / n, more - 1).width > half - 1e-9


def test_the_sentence_holds_the_figures_of_the_estimate(begin):
    found = from_labels(remembered(44, 50, begin), None)
    numbers = re.findall(r"[\d.]+(?=%| |;)", labels_sentence(found))
    low, high = clopper_pearson(44, 50)
    assert numbers == ["50", "7", "44", f"{100 * low:.1f}", f"{100 * high:.1f}", str(found.labels_needed)]
