"""Rows of the journal as the detectors take them, each with what was logged of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backstay.bundle.model import Outputs
from backstay.journal.column_types import is_list, is_number
from backstay.journal.rows import Rows
from backstay.kernel.records import ColumnKind, Schema
from backstay.loop.reference import views
from backstay.maths.arrays import AnyArray, BoolArray
from backstay.monitor.inputs import strange_of, with_absent
from backstay.monitor.traffic import COLUMNS, REPRESENTATION, SCORES, LabelledRow, WindowData


def window_data(
    rows: Rows, start: datetime, end: datetime, schema: Schema, labels: tuple[LabelledRow, ...]
) -> WindowData:
    """Rows of the journal as the detectors take them.

    A row that lacks scores, embeddings or inputs that others have is marked (`WindowData.lacks`). A picture or vector
    that is not there, or not of the schema's length, counts as inputs that are lacking. Of inputs that lack a column
    of the schema it is missing in every row.
    """
    scored = _where(rows.scores is not None, rows.scored, len(rows))
    embedded = _where(rows.embeddings is not None, rows.embedded, len(rows))
    described = _where(rows.inputs is not None, rows.described, len(rows))
    pictured = described
    if rows.inputs is not None and described.any():
        described = described & _legible(rows.inputs, schema)
        pictured = described if _has_picture(rows.inputs, schema) else np.zeros(len(rows), dtype=np.bool_)
    # What most rows have says what they look like: one row with an embedding must not hide the pictures of the others.
    by_embedding = embedded.any() and embedded.sum() >= pictured.sum()
    table = rows.inputs if rows.inputs is not None and described.any() else None
    if table is not None and not described.all():
        table = table.filter(pa.array(described))
    table = None if table is None else with_absent(table, schema)
    view = views(table, schema, Outputs(rows.predictions, None, rows.embeddings if by_embedding else None))
    seen = embedded if by_embedding else described
    parts = {
        SCORES: (rows.scores is not None, scored),
        REPRESENTATION: (view.representation is not None, seen),
        COLUMNS: (bool(view.columns), described),
    }
    representation = view.representation
    if representation is not None and not by_embedding:
        representation = _spread(representation, described)
    return WindowData(
        start=start,
        end=end,
        ids=rows.ids,
        times=rows.times,
        predicted=rows.predictions,
        representation=representation,
        scores=None if rows.scores is None or not scored.any() else rows.scores.astype(np.float64),
        groups=rows.groups,
        columns=_all_spread(view.columns, described),
        traits=_all_spread(view.traits, described),
        labels=labels,
        lacks={name: ~has for name, (there, has) in parts.items() if there and has.any() and not has.all()},
        strange={} if table is None else _all_spread(strange_of(table, schema), described),
    )


def no_numbers_in(window: WindowData) -> list[str]:
    """Notes on columns of numbers that hold something else in this window."""
    notes = []
    for name, values in window.strange.items():
        odd = [value for value in values if value is not None]
        held = f"column {name!r} holds no number in {len(odd)} of {len(window)} rows"
        notes.append(f"{held} up to {window.end:%Y-%m-%d %H:%M} UTC ({odd[0]!r}): read as missing")
    return notes


def _where(there: bool, has: BoolArray | None, rows: int) -> BoolArray:
    return np.full(rows, there) if has is None else has


def _picture(table: pa.Table, schema: Schema, kind: ColumnKind) -> str | None:
    return next((f for f in schema.features if schema.column(f).kind is kind and f in table.column_names), None)


def _has_picture(table: pa.Table, schema: Schema) -> bool:
    return any(_picture(table, schema, kind) is not None for kind in (ColumnKind.IMAGE, ColumnKind.VECTOR))


def _legible(table: pa.Table, schema: Schema) -> BoolArray:
    """Rows whose picture or vector, where the schema has one, can be read as such [n]."""
    legible = np.ones(table.num_rows, dtype=np.bool_)
    image = _picture(table, schema, ColumnKind.IMAGE)
    if image is not None:
        column = table.column(image)
        if not isinstance(column.type, pa.FixedShapeTensorType):
            return ~legible
        if column.null_count:
            legible &= column.is_valid().to_numpy()
    vector = _picture(table, schema, ColumnKind.VECTOR)
    if vector is not None:
        legible &= _vectors(table.column(vector), schema.column(vector).shape[0])
    return legible


def _vectors(column: pa.ChunkedArray, length: int) -> BoolArray:
    """Rows that hold so many finite numbers [n]."""
    if not is_list(column.type) or not is_number(column.type.value_type):
        return np.zeros(len(column), dtype=np.bool_)
    found = np.asarray(pc.fill_null(pc.list_value_length(column), -1).to_numpy() == length)
    flat = pc.list_flatten(column if found.all() else column.filter(pa.array(found)))
    if flat.type != pa.float32():
        flat = flat.cast(pa.float32(), safe=False)
    fine = pc.fill_null(pc.is_finite(flat), False)
    if not pc.all(fine).as_py():
        found[found] = fine.to_numpy().reshape(-1, length).all(axis=1)
    return found


def _all_spread(values: Mapping[str, AnyArray], has: BoolArray) -> dict[str, AnyArray]:
    return {name: _spread(found, has) for name, found in values.items()}


def _spread(values: AnyArray, has: BoolArray) -> AnyArray:
    """Values of the rows that have some, with NaN or None in the place of the others; as they are where all have."""
    if len(values) == len(has):
        return values
    wide = np.full((len(has), *values.shape[1:]), np.nan if values.dtype.kind == "f" else None, dtype=values.dtype)
    wide[has] = values
    return wide
