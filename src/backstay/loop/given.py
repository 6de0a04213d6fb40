"""Rows that are handed over, as the model's own rows are kept: a file may write the same values in another type."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from backstay.data.kinds import as_kind
from backstay.kernel.records import Column, ColumnKind, Schema

NUMBERS = (ColumnKind.NUMBER, ColumnKind.INTEGER)
NAMES = (ColumnKind.CATEGORY, ColumnKind.TEXT)


def as_kept(table: pa.Table, schema: Schema, columns: Sequence[str]) -> pa.Table:
    """The rows with what the model reads in the kinds of the rows that it learned from.

    One gap makes floats of whole numbers, and a model that knows the category 3 does not know 3.0; truth values come as
    0 and 1, or as words; numbers as text or decimals. Left as they came, such rows would be answered wrongly and
    nobody told.

    Args:
        schema: of the rows that the model learned from or was measured on.
        columns: what the model reads. Those that are not there are left for it to complain of.

    Raises BackstayError, naming the column, for values that cannot be read as its kind.
    """
    known = {column.name: column for column in schema.columns}
    for place, name in enumerate(table.column_names):
        if name in columns and name in known:
            values = _values(table.column(name), known[name])
            if values is not table.column(name):
                table = table.set_column(place, name, values)
    return table


def _values(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    kind = column.kind
    if pa.types.is_null(values.type):
        return values
    if kind in NAMES:
        return as_kind(values, column)
    if kind is ColumnKind.BOOLEAN and not pa.types.is_boolean(values.type):
        return as_kind(_without_nan(values), column)
    if kind in NUMBERS and not (
        pa.types.is_floating(values.type) or pa.types.is_integer(values.type) or pa.types.is_boolean(values.type)
    ):
        # A fraction where the model's rows had whole numbers is a number all the same.
        return as_kind(values, Column(column.name, ColumnKind.NUMBER))
    return as_kind(values, column) if kind is ColumnKind.IMAGE else values


def _without_nan(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.is_nan(values), None, values) if pa.types.is_floating(values.type) else values
