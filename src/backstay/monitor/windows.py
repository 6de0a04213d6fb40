"""Cutting time into windows: beginning with the release, none too thin to say anything, pauses left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from backstay.kernel.clock import utc
from backstay.maths.arrays import AnyArray
from backstay.settings import WatchSettings

SMALLEST = 20
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """[start, end), how many rows it holds, and how many periods or sessions were joined to fill it."""

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

    Boundaries follow from the rows and the settings alone, so that two runs cut alike:

    - by time they lie at `anchor` + k * window_days, whatever is in the data;
    - by count just after each `window_rows`-th row (rows of one moment stay together);
    - by session where `session_gap_hours` have passed since the last row.

    A window of time or session with fewer than `minimum_rows` rows is joined to the next one, but a period without any
    is in no window: a pause is not traffic. The last, still too thin, waits, and none is ready before `grace_hours`
    after its end. `last_end` is where the previous look ended. With `close` the current, unfinished window ends at
    `now` (it is watched when it holds at least 20 rows); by time the next one then ends at the next boundary.

    Args:
        times: datetime64[us] of the rows of this release, in UTC, in any order.
    """
    moments = np.sort(np.asarray(times, dtype="datetime64[us]"))
    start, now = utc(last_end if last_end is not None else anchor), utc(now)
    ready = now - timedelta(hours=settings.grace_hours)
    windows: list[Window] = []
    joined = 1
    ends = _Ends(moments, start, utc(anchor), ready, settings)
    for end in getattr(ends, settings.windows)():
        rows = _count(moments, start, end)
        if settings.windows == "count" or rows >= settings.minimum_rows:
            windows.append(Window(start, end, rows, joined))
        elif rows > 0:
            joined += 1
            continue
        start, joined = end, 1
    if close and start < now:
        rows = _count(moments, start, now)
        if rows >= SMALLEST:
            windows.append(Window(start, now, rows, joined))
    return windows


def could_close(
    rows: int | None,
    last_end: datetime,
    anchor: datetime,
    now: datetime,
    settings: WatchSettings,
    *,
    close: bool = False,
) -> bool:
    """Whether `cut` may give a window, by how many rows there are from `last_end` on (None: any number of them).

    False is sure: then it gives none.
    """
    if rows == 0:
        return False
    if close:
        return rows is None or rows >= SMALLEST
    if settings.windows == "count":
        return rows is None or rows >= settings.window_rows
    if rows is not None and rows < settings.minimum_rows:
        return False
    if settings.windows == "session":
        return True
    period = timedelta(days=settings.window_days)
    return _boundary_after(utc(last_end), utc(anchor), period) <= utc(now) - timedelta(hours=settings.grace_hours)


@dataclass(frozen=True)
class _Ends:
    """Where windows may end that begin at `start`, up to `ready`: one generator for each kind of window."""

    moments: AnyArray
    start: datetime
    anchor: datetime
    ready: datetime
    settings: WatchSettings

    def time(self) -> Iterator[datetime]:
        period = timedelta(days=self.settings.window_days)
        end = _boundary_after(self.start, self.anchor, period)
        while end <= self.ready:
            yield end
            end += period

    def count(self) -> Iterator[datetime]:
        """Just after the row that fills the window, and after all rows of that very moment."""
        rows = self.settings.window_rows
        at = int(np.searchsorted(self.moments, stamp(self.start)))
        while at + rows <= len(self.moments):
            end = _moment(self.moments[at + rows - 1]) + TICK
            if end > self.ready:
                return
            yield end
            at = int(np.searchsorted(self.moments, stamp(end)))

    def session(self) -> Iterator[datetime]:
        """The gap after the last row of each session: any row of later belongs to the next."""
        gap = timedelta(hours=self.settings.session_gap_hours)
        inside = self.moments[np.searchsorted(self.moments, stamp(self.start)) :]
        for at in (*np.flatnonzero(np.diff(inside) > np.timedelta64(gap)), len(inside) - 1):
            if at >= 0 and (end := _moment(inside[at]) + gap) <= self.ready:
                yield end


def rows_before(times: AnyArray, end: datetime | None) -> int:
    """How many rows lie before `end`: what `LateRows` compares with what had been watched by then."""
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


def _moment(at: np.datetime64) -> datetime:
    return at.astype("datetime64[us]").item().replace(tzinfo=UTC)  # type: ignore[no-any-return]


def _boundary_after(start: datetime, anchor: datetime, period: timedelta) -> datetime:
    passed = (start - anchor) // period
    return anchor + (passed + 1) * period


def _count(moments: AnyArray, start: datetime, end: datetime) -> int:
    low, high = np.searchsorted(moments, np.asarray([stamp(start), stamp(end)]))
    return int(high - low)
