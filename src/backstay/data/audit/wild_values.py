"""Infinite numbers, and numbers so far from all others that they can hardly be meant.

An overflow, a sentinel (1e30 for a gap) or a wrong unit. Infinite ones are learned from as gaps by some models and not
at all by others; one wild value can squeeze all others to a point wherever a mean and a deviation are taken. Wild is
what lies a hundred thousand times as far from the median as half of the values that differ from it: beyond what long
tails (incomes, counts, sizes) reach in the rows of one file. Only numbers that are features are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backstay.data.audit.subject import Subject
from backstay.kernel.records import ColumnKind, Finding, Severity

CHECK = "wild_values"
WILD = 1e5
NUMBERS = frozenset({ColumnKind.NUMBER, ColumnKind.INTEGER})
LARGEST = 1e150


def check(subject: Subject) -> Iterable[Finding]:
    """MEDIUM for each column with infinite values, and for each with wild ones."""
    for name in subject.schema.features:
        if subject.schema.column(name).kind not in NUMBERS:
            continue
        values = pc.cast(subject.table.column(name), pa.float64(), safe=False).to_numpy()
        endless = np.isinf(values)
        if endless.any():
            yield _finding(
                subject, name, endless, "infinite", "find out where they come from, and leave them empty: a gap is told"
            )
        times = _times_as_far(values)
        wild = times > WILD
        if wild.any():
            what = f"wild: up to {times.max():.0e} times as far from the median as half of the others"
            yield _finding(subject, name, wild, what, "correct them, or leave them empty where they stand for a gap")


def _finding(subject: Subject, name: str, mine: npt.NDArray[np.bool_], what: str, fix: str) -> Finding:
    rows = np.flatnonzero(mine)
    one = "values is" if len(rows) == 1 else "values are"
    return subject.finding(
        CHECK, Severity.MEDIUM, f"{name!r}: {len(rows)} of {len(mine)} {one} {what}", fix, rows, columns=(name,)
    )


def _times_as_far(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How many times as far from the median each value lies as half of those do that differ from it; 0 for gaps."""
    known = np.isfinite(values)
    found = np.zeros(len(values))
    if not known.any():
        return found
    there = np.clip(values[known], -LARGEST, LARGEST)
    away = np.abs(there - np.median(there))
    if away.any():
        # Of very small distances the quotient may be beyond all numbers, which is wild enough.
        found[known] = away / max(float(np.median(away[away > 0])), 1 / LARGEST)
    return found
