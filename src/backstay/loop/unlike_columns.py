"""Columns of logged rows that hold another type than the reference: told at hand-in, while the file can be mended."""

from __future__ import annotations

import pyarrow as pa

from backstay.journal.column_types import is_list, is_number, is_text, is_time, no_numbers
from backstay.kernel.records import ColumnKind, Schema

NUMBERS, TEXT, TRUTH, TIMES, LISTS, PICTURES = "numbers", "text", "truth values", "times", "lists", "pictures"
_WANTED = {
    ColumnKind.NUMBER: (NUMBERS, TRUTH),
    ColumnKind.INTEGER: (NUMBERS, TRUTH),
    ColumnKind.CATEGORY: (TEXT, NUMBERS, TRUTH),
    ColumnKind.BOOLEAN: (TRUTH,),
    ColumnKind.TEXT: (TEXT,),
    ColumnKind.TIME: (TIMES,),
    ColumnKind.IMAGE: (PICTURES,),
    ColumnKind.VECTOR: (LISTS,),
}


def unlike_columns(inputs: pa.Table | None, schema: Schema) -> tuple[str, ...]:
    """A note on each input column that holds another type than the reference rows do."""
    found = []
    for column in schema.columns:
        if inputs is None or column.name not in inputs.column_names:
            continue
        values = inputs.column(column.name)
        held, wanted = _held(values.type), _WANTED[column.kind]
        if held is None or held in wanted:
            continue
        told = f"column {column.name!r} holds {held}, the reference has {wanted[0]}"
        found.append(f"{told}: {_read_as_numbers(values)}" if wanted[0] == NUMBERS else told)
    return tuple(found)


def _read_as_numbers(values: pa.ChunkedArray) -> str:
    odd = no_numbers(values)
    if odd is None:
        return "all of it reads as numbers, and is taken so"
    first = next(value for value in odd.to_pylist() if value is not None)
    return f"{len(odd) - odd.null_count} of {len(odd)} values are no numbers and count as missing (first: {first!r})"


def _held(kind: pa.DataType) -> str | None:
    """What a column of this type holds, in a word; None where it is empty."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_null(kind):
        return None
    if pa.types.is_boolean(kind):
        return TRUTH
    if isinstance(kind, pa.BaseExtensionType):
        return PICTURES
    tests = ((is_number, NUMBERS), (is_text, TEXT), (is_time, TIMES), (is_list, LISTS))
    return next((word for test, word in tests if test(kind)), str(kind))
