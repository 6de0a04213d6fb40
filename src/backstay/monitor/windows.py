"""Cutting time into windows: consecutive, anchored at the release, never too thin to say anything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from backstay.kernel.clock import utc
from backstay.maths.arrays import AnyArray
from backstay.settings import WatchSettings

SMALLEST = 20


@dataclass(frozen=True, slots=True)
class Window:
    """[start, end), how many rows it holds, and how many periods of `window_days` were joined to fill it."""

    start: datetime
    end: datetime
    rows: int
    periods: int = 1


def cut(
    times: AnyArray,
    anchor: datetime,
    now: datetime,
    last_end: datetime | None,
    settings: WatchSettings,
    *,
    close: bool = False,
) -> list[Window]:
    """The windows that are ready to be watched, oldest first.

    Boundaries lie at `anchor` + k * window_days, whatever is in the data, so that two runs cut alike. A window
    with fewer than `minimum_rows` rows is joined to the next one; the last, still too thin, waits. `last_end`
    is where the previous look ended. With `close` the current, unfinished window ends at `now` (it is watched
    when it holds at least 20 rows); the next one then ends at the next boundary.

    Args:
        times: datetime64[us] of the rows of this release, in UTC, in any order.
    """
    moments = np.sort(np.asarray(times, dtype="datetime64[us]"))
    start = utc(last_end if last_end is not None else anchor)
    now, period = utc(now), timedelta(days=settings.window_days)
    end = _boundary_after(start, utc(anchor), period)
    windows: list[Window] = []
    joined = 1
    while end <= now:
        rows = _count(moments, start, end)
        if rows >= settings.minimum_rows:
            windows.append(Window(start, end, rows, joined))
            start, joined = end, 0
        end, joined = end + period, joined + 1
    if close and start < now:
        rows = _count(moments, start, now)
        if rows >= SMALLEST:
            windows.append(Window(start, now, rows, joined))
    return windows


def rows_before(times: AnyArray, end: datetime | None) -> int:
    """How many rows lie before `end`: what `Memory.late` compares with what had been watched by then."""
    if end is None:
        return 0
    return int(np.count_nonzero(np.asarray(times, dtype="datetime64[us]") < stamp(end)))


def stamp(at: datetime) -> np.datetime64:
    """A UTC moment as datetime64[us].

    >>> from datetime import UTC
    >>> str(stamp(datetime(2026, 1, 2, tzinfo=UTC)))
    '2026-01-02T00:00:00.000000'
    """
    return np.datetime64(utc(at).replace(tzinfo=None), "us")


def _boundary_after(start: datetime, anchor: datetime, period: timedelta) -> datetime:
    passed = (start - anchor) // period
    return anchor + (passed + 1) * period


def _count(moments: AnyArray, start: datetime, end: datetime) -> int:
    low, high = np.searchsorted(moments, np.asarray([stamp(start), stamp(end)]))
    return int(high - low)
