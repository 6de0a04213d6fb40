"""How far ahead of now the time of a row may lie before it is a mistake."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

AHEAD = timedelta(days=1)
"""More than clocks differ and zones do; a row further ahead would wait for its window until that day comes."""


def too_far_ahead(times: npt.NDArray[np.datetime64], now: datetime) -> npt.NDArray[np.bool_]:
    """Which of these times, UTC [n], no clock that is merely wrong can have told.

    >>> now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> too_far_ahead(np.array(["2026-03-02T11:59", "2026-03-02T12:01"], "datetime64[us]"), now).tolist()
    [False, True]
    """
    latest = np.datetime64((now.astimezone(UTC) + AHEAD).replace(tzinfo=None), "us")
    return np.asarray(times > latest, dtype=np.bool_)
