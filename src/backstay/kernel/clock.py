"""Time as a thing that is passed in, so that tests and the demo can let weeks go by in seconds. Always UTC."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from backstay.kernel.errors import BackstayError

CLOCK_VARIABLE = "BACKSTAY_CLOCK"


class Clock(Protocol):
    """What time is it, in UTC, and is it the real time?"""

    injected: bool

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock."""

    injected = False

    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until it is moved."""

    injected = True

    def __init__(self, at: datetime) -> None:
        self._at = utc(at)

    def now(self) -> datetime:
        return self._at

    def advance(self, step: timedelta) -> None:
        self._at += step


class FileClock:
    """The time that stands in a file, read at each question: how several processes share an injected clock.

    Ledger rows that were written under it say so.
    """

    injected = True

    def __init__(self, path: Path) -> None:
        self.path = path

    def now(self) -> datetime:
        try:
            return parse_time(self.path.read_text().strip())
        except OSError as error:
            raise BackstayError(
                f"the clock file {self.path} cannot be read ({error.strerror})",
                fix=f"write an ISO 8601 time into it or unset {CLOCK_VARIABLE}",
            ) from error

    def set(self, at: datetime) -> None:
        """Move the clock. Readers see the old time or the new one, never half of either."""
        fresh = self.path.with_suffix(".tmp")
        fresh.write_text(utc(at).isoformat())
        fresh.replace(self.path)


def clock_from_environment() -> Clock:
    """The system clock, unless BACKSTAY_CLOCK names a file that holds an ISO 8601 time."""
    path = os.environ.get(CLOCK_VARIABLE)
    return FileClock(Path(path)) if path else SystemClock()


def utc(at: datetime) -> datetime:
    """The same moment in UTC; a naive time is refused, since its zone would be a guess."""
    if at.tzinfo is None:
        raise BackstayError(
            f"the time {at.isoformat()} has no zone", fix="add one (for example +00:00) or declare data.time_zone"
        )
    return at.astimezone(UTC)


def parse_time(text: str) -> datetime:
    """An ISO 8601 time with a zone, in UTC.

    >>> parse_time("2026-03-29T03:30:00+02:00").isoformat()
    '2026-03-29T01:30:00+00:00'
    """
    try:
        return utc(datetime.fromisoformat(text))
    except ValueError as error:
        raise BackstayError(
            f"{text!r} is not an ISO 8601 time", fix="write it like 2026-03-01T12:00:00+00:00"
        ) from error
