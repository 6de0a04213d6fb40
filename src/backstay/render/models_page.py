"""The index of several models' pages: how each is, on a line, the gravest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backstay.kernel.records import Condition, WindowResult
from backstay.render.engine import fill

GRAVITY = (Condition.WORSE, Condition.MOVED, Condition.UNKNOWN, Condition.FINE)


@dataclass(frozen=True, slots=True)
class Row:
    """One model in one environment.

    Args:
        newest: its last window; None before the first.
        page: the file of its page, in the folder of the index; "" where there is none yet.
        error: why it could not be looked at; "" where it could.
        pending: rows that wait in the window that is still filling.
    """

    model: str
    environment: str
    newest: WindowResult | None
    page: str
    error: str = ""
    pending: int = 0


def models_page(rows: Sequence[Row]) -> str:
    """The index: those that could not be looked at, then by condition, then in the order given."""
    return fill("models.html.j2", title=_title(rows), rows=sorted(rows, key=_gravity))


def _gravity(row: Row) -> int:
    if row.error:
        return -1
    return len(GRAVITY) if row.newest is None else GRAVITY.index(row.newest.condition)


def _title(rows: Sequence[Row]) -> str:
    """How many there are of what, in words.

    >>> _title([Row("a", "production", None, "", "the log cannot be read"), Row("b", "production", None, "")])
    '2 models: 1 could not be looked at, 1 without a window'
    """
    counts = [(sum(1 for row in rows if row.error), "could not be looked at")]
    sound = [row for row in rows if not row.error]
    counts += [(sum(1 for r in sound if r.newest and r.newest.condition is c), c.value) for c in GRAVITY]
    counts.append((sum(1 for r in sound if r.newest is None), "without a window"))
    told = ", ".join(f"{n} {what}" for n, what in counts if n)
    return f"{len(rows)} model{'' if len(rows) == 1 else 's'}: {told}"
