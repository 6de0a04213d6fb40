"""Rows that come too late: told once each, and apart from those that a backfill judged."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from backstay.monitor.late_rows import LateRows, Untold
from backstay.monitor.memory import Memory
from backstay.monitor.windows import stamp

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)


def days(*numbers: float) -> np.ndarray:
    return np.array([stamp(BEGIN + number * DAY) for number in numbers])


def test_each_late_row_is_told_once_over_restarts() -> None:
    memory = Memory("r", BEGIN, last_end=BEGIN + 7 * DAY, rows=2)
    logged = days(0, 1, 2, 3, 8)
    assert memory.untold(logged) == Untold(2, 0)
    memory = Memory.from_json(json.loads(json.dumps(memory.with_told(memory.untold(logged)).to_json())))
    assert memory.untold(logged) == Untold()
    later = replace(memory, last_end=BEGIN + 14 * DAY, rows=3)
    assert later.untold(logged) == Untold()
    assert later.untold(days(0, 1, 2, 2.5, 3, 8)) == Untold(1, 0)
    # Told rows that leave the log for their age are neither late again nor do they hide others.
    assert later.untold(days(8, 9), left=4) == Untold(1, 0)


def test_rows_of_a_backfill_are_not_in_the_log_and_hide_no_late_ones() -> None:
    memory = Memory("r", BEGIN, last_end=BEGIN + 7 * DAY, rows=500).with_backfilled(BEGIN, BEGIN + 7 * DAY, 500)
    memory = replace(memory, last_end=BEGIN + 14 * DAY, rows=503)
    logged = days(1, 2, 8, 9, 10, 11)
    assert memory.untold(logged) == Untold(1, 2)
    told = memory.with_told(memory.untold(logged))
    assert told.untold(logged) == Untold()
    # One of the rows in the backfilled window leaves the log.
    assert told.untold(days(2, 8, 9, 10, 11), left=1) == Untold()
    assert told.untold(days(1, 2, 3, 8, 9, 10, 11, 12)) == Untold(1, 1)


def test_windows_of_a_backfill_that_touch_are_one_span() -> None:
    known = LateRows()
    for number in (0, 1, 3):
        known = known.with_backfilled(BEGIN + number * DAY, BEGIN + (number + 1) * DAY, 10)
    assert known.spans == ((BEGIN, BEGIN + 2 * DAY), (BEGIN + 3 * DAY, BEGIN + 4 * DAY))
    assert known.backfilled == 30
    assert LateRows.from_json(json.loads(json.dumps(known.to_json()))) == known


def test_a_memory_of_before_is_read() -> None:
    state = Memory("r", BEGIN, last_end=BEGIN + 7 * DAY, rows=2).to_json()
    assert "late_rows" not in state
    assert Memory.from_json(state).untold(days(1, 2, 3)) == Untold(1, 0)
