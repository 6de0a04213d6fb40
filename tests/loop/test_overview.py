"""Several windows at once: none that moved is lost behind a newest one that did not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import backstay
from backstay.kernel.clock import ManualClock
from backstay.kernel.records import Condition
from backstay.loop.overview import counted
from backstay.monitor import label_free

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = 400


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_free, "DRAWS", 20)


def weeks(*shifts: float, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = WEEK * len(shifts)
    at = [MONDAY + timedelta(days=7) * (i + 0.5) / WEEK for i in range(rows)]
    return pd.DataFrame({"a": rng.normal(size=rows) + np.repeat(shifts, WEEK), "b": rng.normal(size=rows), "at": at})


def look(traffic: pd.DataFrame, **how):
    reference = weeks(*[0.0] * 6, seed=2)
    clock = ManualClock(MONDAY + timedelta(days=70))
    return backstay.watch(traffic, reference=reference, features=["a", "b"], clock=clock, **how)


@pytest.fixture(scope="module")
def past():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_free, "DRAWS", 20)
        return look(weeks(0, 1, 0, 0), time="at", window_days=7)


def test_a_window_that_moved_and_went_by_is_in_the_headline(past) -> None:
    assert [w.condition.value for w in past.windows] == ["probably fine", "moved", "probably fine", "probably fine"]
    assert past.condition is Condition.MOVED
    assert past.latest.condition is Condition.FINE
    assert past.headline.startswith(
        "1 of 4 windows moved (2026-01-12 to 2026-01-19). In 2026-01-12 to 2026-01-19: Moved: "
    )
    assert "Now, in 2026-01-26 to 2026-02-02: Probably fine: nothing that is watched has moved." in past.headline
    assert repr(past).startswith("Seen(moved: 4 windows, 1600 rows. 1 of 4 windows moved (2026-01-12")
    assert past.alarming


def test_what_moved_and_who_shows_it_are_of_that_window(past, tmp_path: Path) -> None:
    assert any(words.startswith("a: ") for words in past.moved)
    then = past.windows[1]
    assert past.gravest == then
    assert past.signals == then.signals
    assert past.located == then.located
    named = {row for signal in then.signals for row in signal.example_ids}
    named |= {row for cell in then.located.cells for row in cell.example_ids}
    assert past.examples
    assert set(past.examples) <= named
    assert past.estimates == past.latest.estimates
    assert "1 of 4 windows moved (2026-01-12 to 2026-01-19)." in past.page(tmp_path / "page.html").read_text()


def test_windows_without_times_are_told_by_their_rows() -> None:
    seen = look(weeks(0, 1, 1, 0).drop(columns="at"), window_rows=WEEK)
    assert seen.headline.startswith("2 of 4 windows moved (rows 401 to 1,200). In rows 801 to 1,200: Moved: ")
    assert "Now, in rows 1,201 to 1,600: Probably fine" in seen.headline


def test_the_newest_that_moved_is_told_once_and_quiet_ones_as_quiet() -> None:
    newest = look(weeks(0, 0, 1), time="at", window_days=7)
    assert newest.headline.startswith("1 of 3 windows moved (2026-01-19 to 2026-01-26). Moved: ")
    assert newest.headline.count("Moved:") == 1
    quiet = look(weeks(0, 0), time="at", window_days=7)
    assert quiet.headline.startswith("None of 2 windows moved. Probably fine: ")
    assert (quiet.condition, quiet.moved) == (Condition.FINE, ())
    one = look(weeks(1).drop(columns="at"))
    assert one.headline == one.latest.headline


def test_many_spans_are_cut_short_and_the_gravest_come_first(past) -> None:
    from dataclasses import replace

    fine, moved = past.windows[0], past.windows[1]
    some = [replace(w, rows=10) for w in (moved, fine, moved, fine, moved, fine, moved, fine)]
    worse = [*some, replace(fine, rows=10, condition=Condition.WORSE)]
    assert counted(worse, timed=False) == (
        "1 of 9 windows is worse (rows 81 to 90), 4 moved (rows 1 to 10, rows 21 to 30, rows 41 to 50 and 1 more)."
    )
    asking = [fine, replace(fine, condition=Condition.UNKNOWN), replace(fine, condition=Condition.UNKNOWN)]
    assert counted(asking, timed=False) == "2 of 3 windows ask for labels (rows 401 to 1,200)."
