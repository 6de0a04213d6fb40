"""The columns that name a row and its group are text, however a file writes them.

A number in the file that was learned from may be text in the log: the server draws ids of its own, and what people
give as an id is their affair. What is compared across files must be of one kind, and text is the one that holds all.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from backstay.data.targets import class_texts
from backstay.kernel.records import Column, ColumnKind, Schema

TEXTS = frozenset({ColumnKind.CATEGORY, ColumnKind.TEXT})


def naming(schema: Schema) -> tuple[str, ...]:
    """The columns of ids and groups, without one that is learned from as well: that keeps its kind."""
    return tuple(n for n in (schema.id, schema.group) if n is not None and n not in schema.features)


def with_text_names(schema: Schema) -> Schema:
    """The same schema with text for the columns that name rows: older ones kept numbers as such."""
    named = set(naming(schema))
    return replace(schema, columns=tuple(_as_text(c) if c.name in named else c for c in schema.columns))


def _as_text(column: Column) -> Column:
    return column if column.kind in TEXTS else replace(column, kind=ColumnKind.CATEGORY, shape=())


def row_names(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column that names rows as text, value by value: 7 and 7.0 are both "7". Gaps stay gaps, NaN is one.

    What has no text (lists, images) is given back as it is.

    >>> row_names(pa.chunked_array([[7.0, 7.5, None]])).to_pylist()
    ['7', '7.5', None]
    """
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
        return values
    if pa.types.is_integer(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return values.cast(pa.string())
    if pa.types.is_floating(kind):
        values = pc.if_else(pc.is_nan(values), None, values)
    known = values.is_valid().to_numpy()
    texts = class_texts(values)
    texts[~known] = None
    return pa.chunked_array([pa.array(texts, pa.string())])


def uuids_as_text(table: pa.Table) -> pa.Table:
    """UUIDs in their usual writing: nothing is computed with them, and logs hold them as text."""
    for place, field in enumerate(table.schema):
        if isinstance(field.type, pa.UuidType):
            texts = [None if value is None else str(value) for value in table.column(place).to_pylist()]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    return table
