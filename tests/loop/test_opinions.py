from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from backstay.journal.rows import Rows
from backstay.loop.opinions import Heard
from backstay.monitor.traffic import Opinion, WindowData

START = datetime(2026, 1, 5, tzinfo=UTC)


def rows(stem, n, release, day=0):
    def objects(values):
        found = np.empty(len(values), dtype=object)
        found[:] = values
        return found

    times = np.full(n, np.datetime64("2026-01-05", "us") + np.timedelta64(day, "D"))
    ids = objects([f"{stem}{i}" for i in range(n)])
    return Rows(ids, times, objects([release] * n), objects(["a"] * n), latencies=np.full(n, 3.0))


def click(row, day):
    at = START + timedelta(days=day)
    return Opinion(row, "click", "true", "shop", at, "a", at)


def test_a_window_gets_what_had_come_by_its_end_and_the_rival_that_answered_most():
    mine = rows("m", 4, "two")
    others = Rows.concat([rows("x", 2, "zero"), rows("o", 3, "one"), rows("late", 9, "zero", day=8)])
    failures = np.array(["2026-01-04", "2026-01-06", "2026-01-12"], dtype="datetime64[us]")
    heard = Heard((click("m1", 1), click("m2", 7)), failures, others, (click("o1", 2), click("x1", 2), click("o2", 9)))
    bare = WindowData(START, START + timedelta(days=7), mine.ids, mine.times, mine.predictions)
    window = heard.into(bare, mine)
    assert [opinion.prediction_id for opinion in window.opinions] == ["m1"]
    assert window.failures.tolist() == [datetime(2026, 1, 6)]
    assert window.latencies.tolist() == [3.0] * 4
    assert window.rival.release == "one"
    assert window.rival.ids.tolist() == ["o0", "o1", "o2"]
    assert [opinion.prediction_id for opinion in window.rival.opinions] == ["o1"]
    assert window.rival.planned is None
    assert replace(heard, planned=0.25).into(bare, mine).rival.planned == 0.25
    assert Heard().into(bare, mine).rival is None
    assert Heard().into(bare, mine).failures is None
