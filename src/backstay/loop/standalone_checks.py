"""Arguments of a look without a project that cannot be meant, refused before a row is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backstay.kernel.errors import BackstayError
from backstay.loop.examples import text

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


def class_name(value: object) -> str | None:
    """A class as labels are compared, however it was given.

    >>> class_name(1), class_name(True), class_name("spam"), class_name(None)
    ('1', 'true', 'spam', None)
    """
    plain = getattr(value, "item", None)
    return None if value is None else text(plain() if callable(plain) else value)


def named(scores: Mapping[Any, str] | None) -> dict[str, str] | None:
    """The score columns by the name of their class."""
    if scores is not None and not isinstance(scores, Mapping):
        raise BackstayError(f"scores is {scores!r}", fix='name a column for each class: {"no": "p_no", "yes": "p_yes"}')
    return None if scores is None else {str(class_name(key)): column for key, column in scores.items()}


def listed(names: str | Sequence[str]) -> tuple[str, ...]:
    """Several names; one alone may be given as it is."""
    return (names,) if isinstance(names, str) else tuple(names)


def check_names(**columns: object) -> None:
    """Refuse what is no name of a column."""
    for role, name in columns.items():
        if name is not None and not isinstance(name, str):
            raise BackstayError(f"{role} is {name!r}", fix="give the name of a column, as text")


def check_budget(per_year: Any) -> None:
    """Refuse a number of false alarms that is none."""
    if not (_is_number(per_year) and per_year > 0):
        raise BackstayError(f"false_alarms_per_year is {per_year!r}", fix="give a number above 0")


def _is_number(value: Any) -> bool:
    """NumPy's numbers as well; NaN is compared away."""
    try:
        return not isinstance(value, (bool, str, bytes)) and value - value == 0
    except TypeError:
        return False
