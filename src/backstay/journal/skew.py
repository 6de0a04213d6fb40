"""Which times of rows are mistakes: too far ahead of now, or those of a clock that was never set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

AHEAD = timedelta(days=1)
"""More than clocks differ and zones do; a row further ahead would wait for its window until that day comes."""

UNSET = np.datetime64("1990-01-01", "us")
"""Before this no model of today answered: what is missing is 1970 to many systems, and 1900 or the year 1 to others."""


def never_set(times: npt.NDArray[np.datetime64]) -> npt.NDArray[np.bool_]:
    """Which of these times, UTC [n], stand for a missing one.

    >>> never_set(np.array(["1970-01-01T00:00", "2011-12-09T12:50"], "datetime64[us]")).tolist()
    [True, False]
    """
    return np.asarray(times < UNSET, dtype=np.bool_)


def too_far_ahead(times: npt.NDArray[np.datetime64], now: datetime) -> npt.NDArray[np.bool_]:
    """Which of these times, UTC [n], no clock that is merely wrong can have told.

    >>> now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> too_far_ahead(np.array(["2026-03-02T11:59", "2026-03-02T12:01"], "datetime64[us]"), now).tolist()
    [False, True]
    """
    latest = np.datetime64((now.astimezone(UTC) + AHEAD).replace(tzinfo=None), "us")
    return np.asarray(times > latest, dtype=np.bool_)
