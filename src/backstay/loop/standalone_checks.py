"""Arguments of a look without a project that cannot be meant, refused before a row is read."""

from __future__ import annotations

from typing import Any

from backstay.kernel.errors import BackstayError

FEWEST_ROWS = 20
MOST_DAYS = 400.0
# Shorter windows than a second cannot be meant.
FEWEST_DAYS = 1.0 / 86_400.0


def check_cuts(days: Any, rows: Any, time: str | None) -> None:
    """Refuse windows by time and by number at once, without times, or of a length that is none."""
    if days is not None and rows is not None:
        raise BackstayError("windows by time and by number were asked for", fix="give one of the two")
    if days is not None and time is None:
        raise BackstayError("windows by time need times", fix="name the column with time=")
    if days is not None and not (_is_number(days) and FEWEST_DAYS <= days <= MOST_DAYS):
        raise BackstayError(f"window_days is {days!r}", fix=f"give a number of days above 0, at most {MOST_DAYS:.0f}")
    if rows is None:
        return
    if isinstance(rows, bool) or not _is_number(rows) or rows != int(rows):
        raise BackstayError(f"window_rows is {rows!r}", fix=f"give a whole number, {FEWEST_ROWS} or more")
    if rows < FEWEST_ROWS:
        raise BackstayError(f"windows of {rows} rows", fix=f"give {FEWEST_ROWS} or more")


def _is_number(value: Any) -> bool:
    """NumPy's numbers as well; NaN is compared away."""
    try:
        return not isinstance(value, (bool, str, bytes)) and value - value == 0
    except TypeError:
        return False
