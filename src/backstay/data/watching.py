"""Columns that can be watched beyond those that a model is trained on, and those that cannot."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from backstay.data.kinds import TEXT_LENGTH, TEXT_WORDS, kind_of, words_of
from backstay.kernel.records import ColumnKind

_WORDS = {
    ColumnKind.TIME: "times",
    ColumnKind.VECTOR: "lists of numbers",
    ColumnKind.IMAGE: "images",
    ColumnKind.TEXT: "text",
    ColumnKind.CATEGORY: "text",
}


def is_free_text(column: pa.ChunkedArray) -> bool:
    """Sentences or long texts, whose length says something; names and keys of many values are none.

    >>> is_free_text(pa.chunked_array([["where is my card?", "it was lost again"]]))
    True
    >>> is_free_text(pa.chunked_array([["c-1", "c-2"]]))
    False
    """
    if words_of(column) >= TEXT_WORDS:
        return True
    return float(pc.mean(pc.utf8_length(column.cast(pa.large_string()))).as_py() or 0.0) > TEXT_LENGTH


def unwatched(table: pa.Table, watched: Collection[str]) -> tuple[str, ...]:
    """The other columns of these rows, each with what it holds.

    >>> unwatched(pa.table({"a": [1.0], "e": [{"x": 1}]}), ["a"])
    ('e (struct)',)
    """
    return tuple(f"{name} ({_what(table.column(name))})" for name in table.column_names if name not in watched)


def _what(column: pa.ChunkedArray) -> str:
    kind = kind_of(column)
    if kind is None:
        return str(column.type).split("<", 1)[0].split("[", 1)[0]
    return _WORDS.get(kind, kind.value)
