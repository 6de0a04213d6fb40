from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.monitor.windows import could_close, cut, rows_before, stamp
from backstay.settings import WatchSettings

ANCHOR = datetime(2026, 1, 5, tzinfo=UTC)


def moments(*days: float):
    return np.array([stamp(ANCHOR + timedelta(days=day)) for day in days], dtype="datetime64[us]")


def spread(first: float, last: float, n: int):
    return list(np.linspace(first, last, n, endpoint=False))


def watch(**given) -> WatchSettings:
    return WatchSettings(**{"window_days": 7.0, "minimum_rows": 20, **given})


def test_full_windows_are_cut_at_the_anchor_and_the_unfinished_one_waits():
    windows = cut(moments(*spread(0, 17, 170)), ANCHOR, ANCHOR + timedelta(days=17), None, watch())
    assert [(w.start - ANCHOR, w.end - ANCHOR, w.rows) for w in windows] == [
        (timedelta(0), timedelta(days=7), 70),
        (timedelta(days=7), timedelta(days=14), 70),
    ]


def test_a_thin_window_is_joined_to_the_next():
    times = moments(*spread(0, 7, 5), *spread(7, 14, 40))
    (window,) = cut(times, ANCHOR, ANCHOR + timedelta(days=14), None, watch())
    assert (window.start, window.end, window.rows, window.periods) == (ANCHOR, ANCHOR + timedelta(days=14), 45, 2)


def test_a_pause_is_in_no_window():
    times = moments(*spread(0, 7, 40), *spread(70, 77, 5), *spread(77, 84, 40))
    windows = cut(times, ANCHOR, ANCHOR + timedelta(days=84), None, watch())
    assert [((w.start - ANCHOR).days, (w.end - ANCHOR).days, w.rows, w.periods) for w in windows] == [
        (0, 7, 40, 1),
        (70, 84, 45, 2),
    ]


def test_a_thin_last_window_waits_for_more():
    times = moments(*spread(0, 7, 40), *spread(7, 14, 5))
    assert len(cut(times, ANCHOR, ANCHOR + timedelta(days=14), None, watch())) == 1
    (later,) = cut(times, ANCHOR, ANCHOR + timedelta(days=14), ANCHOR + timedelta(days=7), watch(), close=False) or [
        None
    ]
    assert later is None


def test_closing_now_ends_the_window_and_the_next_one_ends_at_the_grid():
    times, now = moments(*spread(0, 14, 140)), ANCHOR + timedelta(days=10)
    windows = cut(times, ANCHOR, now, None, watch(), close=True)
    assert windows[-1].end == now
    (rest,) = cut(times, ANCHOR, ANCHOR + timedelta(days=14), now, watch())
    assert (rest.start, rest.end) == (now, ANCHOR + timedelta(days=14))


def test_closing_a_window_that_is_almost_empty_gives_nothing():
    assert cut(moments(*spread(0, 2, 5)), ANCHOR, ANCHOR + timedelta(days=2), None, watch(), close=True) == []


def test_rows_before_counts_what_lies_before_the_end():
    assert rows_before(moments(0, 1, 2, 3), ANCHOR + timedelta(days=2)) == 2
    assert rows_before(moments(0, 1), None) == 0


@given(
    st.lists(st.floats(0, 60), min_size=0, max_size=300),
    st.floats(0.5, 10),
    st.floats(0, 60),
    st.booleans(),
)
def test_every_row_lies_in_at_most_one_window_and_no_window_is_thin(days, period, now, close):
    times = moments(*days)
    found = cut(times, ANCHOR, ANCHOR + timedelta(days=now), None, watch(window_days=period), close=close)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert all((b.start - a.end) % timedelta(days=period) == timedelta(0) for a, b in pairwise(found))
    if found:
        assert found[0].start >= ANCHOR
        assert found[-1].end <= ANCHOR + timedelta(days=now)
        assert sum(w.rows for w in found) == rows_before(times, found[-1].end)
    assert all(w.rows >= 20 for w in found)


@given(st.lists(st.floats(0, 40), min_size=50, max_size=300), st.integers(1, 39))
def test_watching_every_day_cuts_the_same_windows_as_watching_once(days, stop):
    times = moments(*days)
    once = cut(times, ANCHOR, ANCHOR + timedelta(days=40), None, watch())
    first = cut(times, ANCHOR, ANCHOR + timedelta(days=stop), None, watch())
    rest = cut(times, ANCHOR, ANCHOR + timedelta(days=40), first[-1].end if first else None, watch())
    assert [(w.start, w.end) for w in first + rest] == [(w.start, w.end) for w in once]


def test_by_count_a_window_closes_with_its_last_row_and_rows_of_one_moment_stay_together():
    times = moments(*spread(0, 1, 25), *[2.0] * 30, *spread(3, 4, 10))
    found = cut(times, ANCHOR, ANCHOR + timedelta(days=9), None, watch(windows="count", window_rows=30))
    assert [(w.rows, w.end) for w in found] == [(55, ANCHOR + timedelta(days=2, microseconds=1))]
    (rest,) = cut(
        times, ANCHOR, ANCHOR + timedelta(days=9), found[-1].end, watch(windows="count", window_rows=20), close=True
    ) or [None]
    assert rest is None


def test_by_session_a_pause_ends_a_window_and_a_thin_one_joins_the_next():
    nights = [*spread(0, 0.1, 150), *spread(1, 1.1, 50), *spread(2, 2.1, 150), *spread(3, 3.1, 200)]
    settings = watch(windows="session", session_gap_hours=6, minimum_rows=100)
    found = cut(moments(*nights), ANCHOR, ANCHOR + timedelta(days=3.2), None, settings)
    assert [(w.rows, w.periods) for w in found] == [(150, 1), (200, 2)]
    later = cut(moments(*nights), ANCHOR, ANCHOR + timedelta(days=3.4), found[-1].end, settings)
    assert [w.rows for w in later] == [200]


@pytest.mark.parametrize("kind", ["time", "count", "session"])
def test_a_window_stays_open_for_its_grace(kind):
    times = moments(*spread(0, 7, 300), *spread(7.5, 7.6, 200))
    settings = {"windows": kind, "window_rows": 300, "session_gap_hours": 6}
    now = ANCHOR + timedelta(days=7.5)
    assert len(cut(times, ANCHOR, now, None, watch(**settings))) == 1
    assert cut(times, ANCHOR, now, None, watch(**settings, grace_hours=24)) == []


@given(
    st.lists(st.floats(0, 40), min_size=50, max_size=300),
    st.integers(1, 39),
    st.sampled_from(["count", "session"]),
)
def test_other_windows_too_are_the_same_however_often_one_looks(days, stop, kind):
    """Rows come in order here: whoever looked in the middle saw those of before, and no other."""
    times = moments(*days)
    settings = watch(windows=kind, window_rows=30, session_gap_hours=8)
    once = cut(times, ANCHOR, ANCHOR + timedelta(days=40), None, settings)
    then = ANCHOR + timedelta(days=stop)
    first = cut(times[times <= stamp(then)], ANCHOR, then, None, settings)
    rest = cut(times, ANCHOR, ANCHOR + timedelta(days=40), first[-1].end if first else None, settings)
    assert [(w.start, w.end) for w in first + rest] == [(w.start, w.end) for w in once]
    assert all(w.rows >= (30 if kind == "count" else 20) for w in once)


@given(
    st.lists(st.floats(0, 40), max_size=120),
    st.floats(0.5, 40),
    st.floats(0, 40),
    st.booleans(),
    st.sampled_from(["time", "count", "session"]),
    st.sampled_from([0.0, 30.0]),
)
def test_where_no_window_can_close_none_is_cut(days, last, later, close, kind, grace):
    settings = watch(windows=kind, window_rows=25, session_gap_hours=12.0, grace_hours=grace)
    times, end = moments(*days), ANCHOR + timedelta(days=last)
    now = end + timedelta(days=later)
    waiting = int(np.count_nonzero(times >= stamp(end)))
    cut_now = cut(times, ANCHOR, now, end, settings, close=close)
    for rows in (waiting, None):
        assert could_close(rows, end, ANCHOR, now, settings, close=close) or not cut_now


def test_a_window_that_closes_could_close_and_one_that_goes_on_could_not():
    end, settings = ANCHOR + timedelta(days=7), watch()
    for days, rows, close, could in [
        (6.9, 500, False, False),
        (7.0, 500, False, True),
        (7.0, 19, False, False),
        (7.0, None, False, True),
        (6.9, None, False, False),
        (1.0, 20, True, True),
        (1.0, 19, True, False),
        (30.0, 0, True, False),
    ]:
        assert could_close(rows, end, ANCHOR, end + timedelta(days=days), settings, close=close) is could


@pytest.mark.parametrize(("pause", "windows"), [(5.9, [200]), (6.1, [100, 100])])
def test_a_session_ends_with_the_pause_that_is_set_and_no_shorter_one(pause, windows):
    first = [*spread(0, 0.1, 99), 0.1]
    times = moments(*first, *spread(0.1 + pause / 24, 1, 99), 1.0)
    settings = watch(windows="session", session_gap_hours=6, minimum_rows=50)
    assert [w.rows for w in cut(times, ANCHOR, ANCHOR + timedelta(days=2), None, settings)] == windows


def test_a_window_could_close_as_soon_as_its_grace_is_over():
    end, settings = ANCHOR, watch(grace_hours=12)
    assert could_close(500, end, ANCHOR, ANCHOR + timedelta(days=7.5), settings)
    assert not could_close(500, end, ANCHOR, ANCHOR + timedelta(days=7.4), settings)
