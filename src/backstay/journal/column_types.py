"""Columns of several files as one type each: what was logged last month may hold text where numbers came before.

Nothing here fails for what a column holds. A log is read on every look, and rows that are in it cannot be logged again:
one file with another type must not end every look from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

MOMENT = pa.timestamp("us", tz="UTC")
TEXT = pa.large_string()
# What stands for a gap in a column of numbers that is written as text.
GAPS = frozenset({"", "-", "na", "n/a", "nan", "none", "null", "#n/a", "missing"})
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?[iI][nN][fF]([iI][nN][iI][tT][yY])?$"


def at_odds(schemas: Iterable[tuple[pa.Schema, int]]) -> dict[str, pa.DataType]:
    """The one type of each column that has several in these schemas, of so many rows each: the value's of categories,
    int64 or float64 of numbers and truth values, microseconds in UTC of times (those without a zone are taken as UTC),
    text of all else."""
    kinds: dict[str, list[tuple[pa.DataType, int]]] = {}
    for schema, rows in schemas:
        for field in schema:
            kinds.setdefault(field.name, []).append((field.type, rows))
    return {name: _joint(found) for name, found in kinds.items() if len({kind for kind, _ in found}) > 1}


def as_text(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Every value as text, gaps as null. Whole numbers are written without a point, truth values as true and false."""
    try:
        return column.cast(TEXT)
    except (pa.ArrowException, ValueError):
        # Lists, structs, bytes that are no text: as Python writes them.
        return _like(column, [None if v is None else str(v) for v in column.to_pylist()], TEXT)


def as_numbers(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Every value as float64; what is no number, nor text that reads as one, is null."""
    if is_number(column.type):
        return column.cast(pa.float64(), safe=False)
    if not is_text(column.type):
        return _like(column, [None] * len(column), pa.float64())
    text = pc.utf8_trim_whitespace(as_text(column))
    return pc.if_else(pc.match_substring_regex(text, _NUMBER), text, pa.scalar(None, TEXT)).cast(pa.float64())


def no_numbers(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array | None:
    """Of a column that ought to hold numbers, as text what is none, else null; None where all are. A word that stands
    for a gap ("n/a") is a gap."""
    if is_number(column.type) or pa.types.is_null(column.type):
        return None
    text = as_text(column)
    if is_text(column.type):
        low = pc.utf8_lower(pc.utf8_trim_whitespace(text))
        fine = pc.or_(pc.match_substring_regex(low, _NUMBER), pc.is_in(low, pa.array(sorted(GAPS), TEXT)))
        text = pc.if_else(fine, pa.scalar(None, TEXT), text)
    return None if text.null_count == len(text) else text


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type holds numbers, or truth values, that are read as 0 and 1."""
    kind = _value(kind)
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    kind = _value(kind)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_time(kind: pa.DataType) -> bool:
    """Whether a column of this type holds moments or days."""
    kind = _value(kind)
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type holds lists, of whatever length."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _value(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _joint(found: Iterable[tuple[pa.DataType, int]]) -> pa.DataType:
    """The type that all of these are read as; of kinds of pictures the one that most rows have."""
    rows: dict[pa.DataType, int] = {}
    for kind, count in found:
        if not pa.types.is_null(kind):
            rows[_value(kind)] = rows.get(_value(kind), 0) + count
    kinds = list(rows)
    if len(kinds) <= 1:
        return kinds[0] if kinds else pa.null()
    pictures = [kind for kind in kinds if isinstance(kind, pa.BaseExtensionType)]
    if pictures:
        return max(pictures, key=lambda kind: rows[kind])
    if all(is_number(kind) for kind in kinds):
        whole = all(pa.types.is_boolean(k) or (pa.types.is_integer(k) and k != pa.uint64()) for k in kinds)
        return pa.int64() if whole else pa.float64()
    if all(is_time(kind) for kind in kinds):
        return MOMENT
    if all(is_list(kind) for kind in kinds) and all(is_number(kind.value_type) for kind in kinds):
        return pa.large_list(pa.float64())
    return TEXT


def recast(table: pa.Table, odd: Mapping[str, pa.DataType]) -> pa.Table:
    """The table with these types in the columns that have others."""
    for place, field in enumerate(table.schema):
        if field.name in odd and field.type != odd[field.name]:
            table = table.set_column(place, field.name, _cast(table.column(place), odd[field.name]))
    return table


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if kind == TEXT:
        return as_text(column)
    if kind == MOMENT and _value(column.type) != MOMENT and getattr(column.type, "tz", None) is None:
        return pc.assume_timezone(column.cast(pa.timestamp("us"), safe=False), "UTC")
    try:
        return column.cast(kind, safe=False)
    except (pa.ArrowException, ValueError):
        return _like(column, [None] * len(column), kind)


def _like(column: pa.ChunkedArray | pa.Array, values: list[str | None] | list[None], kind: pa.DataType) -> pa.Array:
    found = pa.nulls(len(values), kind) if isinstance(kind, pa.BaseExtensionType) else pa.array(values, kind)
    return pa.chunked_array([found]) if isinstance(column, pa.ChunkedArray) else found
