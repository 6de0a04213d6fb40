"""Official splits: a column that says which rows are for training and which for testing."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from backstay.kernel.errors import BackstayError

NAMES = ("part", "split")
TEST = frozenset({"test", "gate"})
TUNE = frozenset({"tune", "val", "valid", "validation", "dev"})
TRAIN = frozenset({"train", "training"})


def part_column(table: pa.Table) -> str | None:
    """The column `part` (or `split`) when its values are train, test and at most a name for validation, in any case.

    >>> part_column(pa.table({"part": ["Train", "TEST"], "x": [1, 2]}))
    'part'
    """
    for name in NAMES:
        values = _values(table, name)
        if values & TRAIN and values & TEST and values <= TRAIN | TEST | TUNE:
            return name
    return None


def refuse_half(table: pa.Table) -> None:
    """Raise where `part` or `split` says train and test in some rows only: dealt anew, test rows would be learned from.

    Of a column that says something else altogether (parts of a car) nothing is asked.
    """
    for name in NAMES:
        values = _values(table, name)
        others = values - TRAIN - TEST - TUNE
        if values & TRAIN and values & TEST and others:
            odd = [v not in TRAIN | TEST | TUNE for v in words(table.column(name))]
            shown = ", ".join(repr(v) if v != MISSING else "nothing" for v in sorted(others)[:3])
            raise BackstayError(
                f"the column {name!r} says train and test, and in {sum(odd)} rows {shown}: it would not be kept to as "
                "the split that it seems to be, and test rows would be learned from",
                fix="say train, test or validation in every row, and keep other rows in a file of their own; if it is "
                "no such split, name the column otherwise or put it under data.ignore",
            )


MISSING = ""


def words(column: pa.ChunkedArray) -> list[str]:
    """What each row says, without spaces around it and in small letters; "" where it says nothing.

    >>> words(pa.chunked_array([["Test ", None]]))
    ['test', '']
    """
    return [MISSING if v is None else str(v).strip().casefold() for v in column.cast(pa.string()).to_pylist()]


def _values(table: pa.Table, name: str) -> set[str]:
    """The different words of a column; none where it is not there, or holds no text."""
    if name not in table.column_names:
        return set()
    kind = table.schema.field(name).type
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_string_view(plain)):
        return set()
    return set(words(pa.chunked_array([pc.unique(table.column(name).cast(pa.string()))])))
