"""Columns of logged rows that are not there or hold another type than the reference: told at hand-in, while the file
can be mended."""

from __future__ import annotations

import pyarrow as pa

from backstay.journal.column_types import is_list, is_number, is_text, is_time, no_numbers
from backstay.kernel.records import ColumnKind, Schema
from backstay.monitor.inputs import absent_from

MOST_NAMED = 5
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
    """A note on each input column that is not there, or holds another type than the reference rows do."""
    found = [] if inputs is None else _absent(inputs.column_names, schema)
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


def _absent(names: list[str], schema: Schema) -> list[str]:
    """A note on the feature columns that are missing, with those that may be the same under another name."""
    gone = absent_from(names, schema)
    if not gone:
        return []
    if not any(name in names for name in schema.features):
        return [f"no input of the reference is there ({quoted(gone)}): inputs of these rows cannot be watched"]
    known = {column.name for column in schema.columns}
    other = [name for name in names if name not in known]
    instead = f" (columns that the reference lacks: {quoted(other)})" if other else ""
    what = f"column {quoted(gone)} is" if len(gone) == 1 else f"columns {quoted(gone)} are"
    return [f"{what} not there: missing in every row{instead}"]


def quoted(names: list[str]) -> str:
    """
    >>> quoted(["a"]), quoted([*"abcdefg"])
    ("'a'", "'a', 'b', 'c', 'd', 'e' and 2 more")
    """
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(map(repr, names[:MOST_NAMED])) + more


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
