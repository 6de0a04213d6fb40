"""Features that name the row instead of describing it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backstay.data.audit.subject import Subject
from backstay.data.kinds import TEXT_WORDS, words_of
from backstay.kernel.records import ColumnKind, Finding, Severity

CHECK = "identifiers"
UNIQUE = 0.95
FEWEST = 50


def check(subject: Subject) -> Iterable[Finding]:
    """A text or whole-number feature with hardly a repeated value: a model can only learn it by heart."""
    rows = subject.table.num_rows
    for name in subject.plain_features:
        if rows < FEWEST or not looks_like_id(subject.table.column(name), subject.schema.column(name).kind):
            continue
        yield subject.finding(
            CHECK,
            Severity.MEDIUM,
            f"{name!r} has a value of its own in nearly every row: it looks like an id",
            f"declare it (data.id or data.group = {name!r}) or leave it out with data.ignore",
            columns=(name,),
            count=rows,
        )


def looks_like_id(column: pa.ChunkedArray, kind: ColumnKind) -> bool:
    """Text: 95% of the values differ and are no sentences. Whole numbers: all differ, consecutive or of one length."""
    n = len(column)
    distinct = pc.count_distinct(column).as_py()
    if kind in (ColumnKind.CATEGORY, ColumnKind.TEXT):
        return bool(distinct >= UNIQUE * n) and words_of(column) < TEXT_WORDS
    if kind is not ColumnKind.INTEGER or distinct < n or column.null_count:
        return False
    values = column.to_numpy()
    spread = int(values.max()) - int(values.min())
    return spread < 2 * n or bool(np.all(np.diff(values) > 0))
