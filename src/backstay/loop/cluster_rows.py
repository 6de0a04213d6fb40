"""Rows as vectors, to be put into clusters: as a model embeds them, or as they hold them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from backstay.data.vectors import as_vectors, is_list, refuse_gaps, usual_length, vectors_of
from backstay.kernel.errors import BackstayError, nearest
from backstay.loop.cluster_parts import Texts
from backstay.loop.examples import bring, bring_declared, codes, texts
from backstay.loop.given import as_kept
from backstay.loop.workspace import Workspace
from backstay.maths.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """Vectors [n, d] in a space, with what is known of the rows.

    Args:
        model: that embedded them; None where the rows hold them.
        groups: codes of rows that depend on each other. labels: as text, "missing" where there is none.
        learned: whether the model learned from these very rows.
    """

    model: str | None
    space: str
    source: str
    vectors: FloatArray
    ids: Texts
    groups: IntArray | None
    labels: Texts | None
    task: str
    learned: bool


def embedded(ws: Workspace, rows: Any, candidate: str | None) -> Embedded:
    """Rows as a model embeds them: the live one, or that with this id.

    Args:
        rows: a file or frame; None takes the model's data, or its reference where none are known.

    Raises BackstayError for a model without embeddings.
    """
    chosen = ws.champion().model_id if candidate is None else ws.catalog.resolve("model", candidate)
    record = ws.model_record(chosen)
    model = ws.load_model(record)
    if not model.manifest.space_id:
        raise BackstayError(
            f"the model {record.id} gives no embeddings",
            fix="name one with an encoder, or a column of vectors with --vectors",
        )
    data_id = record.data_id or record.reference_id
    if data_id is None:
        raise BackstayError(f"of {record.id} no rows are kept", fix="adopt it with reference rows")
    known, schema = ws.rows_of(data_id)
    table = known if rows is None else as_kept(bring(ws, rows), schema, model.manifest.columns)
    embeddings = model.predict(table).embeddings
    if embeddings is None:
        raise BackstayError("the model names a space and gives no embeddings", fix="report this with the bundle")
    return _told(
        table,
        (schema.id, schema.group, schema.target),
        np.asarray(embeddings, dtype=np.float64),
        model=record.id,
        space=model.manifest.space_id,
        source=data_id if rows is None else _name_of(rows),
        task=str(record.task),
        learned=rows is None and record.origin == "trained",
    )


def of_column(ws: Workspace, rows: Any, column: str) -> Embedded:
    """Rows by the vectors that they hold: those of the file or frame, or the project's own.

    Raises BackstayError where a row has no vector, or one of another length or with a gap in it.
    """
    data = ws.settings.data
    if rows is None and data.source is None:
        raise BackstayError("the project file names no data.source", fix="name the rows with --rows")
    table = bring_declared(ws, str(data.source)) if rows is None else bring(ws, rows)
    if column not in table.column_names:
        raise BackstayError(f"the rows have no column {column!r}", fix=nearest(column, table.column_names))
    given = table.column(column)
    if not is_list(given.type):
        raise BackstayError(f"the column {column!r} holds {given.type}, not vectors", fix="name a column of vectors")
    wide = as_vectors(given, column, usual_length(given, column))
    refuse_gaps(wide, column)
    vectors = vectors_of(wide).astype(np.float64)
    return _told(
        table,
        (data.id, data.group, data.target),
        vectors,
        model=None,
        space=f"vectors:{column}:{vectors.shape[1]}",
        source=_name_of(data.source if rows is None else rows),
        task=ws.settings.task,
        learned=False,
    )


def _told(
    table: pa.Table,
    names: tuple[str | None, str | None, str | None],
    vectors: FloatArray,
    *,
    model: str | None,
    space: str,
    source: str,
    task: str,
    learned: bool,
) -> Embedded:
    key, group, target = (name if name in table.column_names else None for name in names)
    return Embedded(
        model=model,
        space=space,
        source=source,
        vectors=vectors,
        ids=np.array([str(row) for row in range(table.num_rows)], dtype=object) if key is None else texts(table, key),
        groups=None if group is None else codes(texts(table, group)),
        labels=None if target is None else texts(table, target),
        task=task,
        learned=learned,
    )


def _name_of(rows: Any) -> str:
    return Path(rows).name if isinstance(rows, (str, Path)) else f"a {type(rows).__name__}"
