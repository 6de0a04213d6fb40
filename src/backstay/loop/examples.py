"""Bring rows in: read, give them their schema, keep them under their content id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.data.read import read
from backstay.data.schema import conform, infer_schema, without_text
from backstay.data.snapshot import save
from backstay.kernel.errors import BackstayError, nearest
from backstay.kernel.records import DataVersion, Schema
from backstay.loop.erasures import erasures
from backstay.loop.tasks import task_of
from backstay.loop.workspace import Workspace
from backstay.settings import DataSettings


def bring(ws: Workspace, source: Any) -> pa.Table:
    """Rows of a file or frame that somebody hands over, as they stand.

    A relative path begins where the command was given, or else at the project file.
    """
    if isinstance(source, (str, Path)):
        path = Path(source)
        source = path if path.is_absolute() or path.exists() else ws.root / path
    data = ws.settings.data
    table = read(source, time_zone=data.time_zone, image_size=data.image_size)
    return task_of(ws).read(table, data.target)


def bring_declared(ws: Workspace, path: str) -> pa.Table:
    """Rows of a file or folder that the project file names: a relative path begins there, never in the current folder.

    A file of the same name there would be learned from instead.
    """
    return bring(ws, ws.root.resolve() / path)


def schema_for(table: pa.Table, data: DataSettings, *, task: str = "classification") -> Schema:
    """The schema that the settings declare, the rest inferred from these rows."""
    kinds = dict(data.columns)
    if task == "regression" and data.target is not None:
        kinds[data.target] = "number"
    return infer_schema(
        table,
        target=data.target,
        id=data.id,
        time=data.time,
        group=data.group,
        kinds=kinds,
        features=data.features,
        ignore=data.ignore,
        task=task,
    )


def keep(ws: Workspace, table: pa.Table, schema: Schema, *, source: str, role: str) -> DataVersion:
    """Save rows under their content id and file the version, once."""
    version = save(table, schema, ws.blobs, clock=ws.clock, source=source, role=role)
    if version.id in erasures(ws.catalog):
        ws.blobs.remove(version.id)
        raise BackstayError(
            f"these rows hold a subject that was erased from version {version.id}",
            fix=f"take its rows out of {source} as well, then try again",
        )
    known = {v.id for v in ws.catalog.find("data", DataVersion)}
    if version.id not in known:
        with ws.ledger.transaction() as tx:
            tx.put("data", version.id, version, **ws.scope)
            tx.append(
                "data", {"data": version.id, "rows": version.rows, "source": source, "role": role}, actor=ws.actor
            )
    return version


def project_rows(ws: Workspace) -> tuple[pa.Table, Schema]:
    """The rows that the project file names, under its schema."""
    data = ws.settings.data
    if data.source is None:
        raise BackstayError("the project file names no data.source", fix="set it, or begin with `backstay init DATA`")
    if data.target is None:
        raise BackstayError("the project file names no data.target", fix="set it to the column to predict")
    table = bring_declared(ws, data.source)
    _refuse_misspelt(data, table.column_names)
    schema = schema_for(table, data, task=ws.settings.task)
    if not schema.features:
        raise BackstayError("data.features is empty, so there is nothing to learn from", fix="name the model's inputs")
    schema = learned_from(ws, schema)
    return conform(table, schema), schema


def _refuse_misspelt(data: DataSettings, names: list[str]) -> None:
    """A name under data.ignore that is nearly a column's: that column, known too late perhaps, would be learned from.

    One that is like no column has nothing to leave out, as where an export no longer writes it.
    """
    for name in data.ignore:
        if name not in names and (close := nearest(name, set(names) - set(data.ignore))).startswith("did you mean"):
            raise BackstayError(f"data.ignore names the column {name!r}, which is not there", fix=close)


def learned_from(ws: Workspace, schema: Schema) -> Schema:
    """The schema for training: of a model that lives elsewhere texts are watched beside other columns, not learned."""
    return without_text(schema) if ws.settings.task == "predictions" else schema


def target_of(schema: Schema) -> str:
    """The target's column name. Raises BackstayError where there is none."""
    if schema.target is None:
        raise BackstayError("these rows have no column of true labels", fix="name it as data.target")
    return schema.target


def texts(table: pa.Table, name: str) -> npt.NDArray[np.object_]:
    """A column as text, the way labels and slices are compared; null becomes 'missing'."""
    values = table.column(name).to_pylist()
    return np.array([text(v) for v in values], dtype=object)


def group_names(table: pa.Table, name: str | None) -> npt.NDArray[np.object_] | None:
    """The group of each row as text, None where it has none: such a row is of a group of its own."""
    if name is None or name not in table.column_names:
        return None
    return np.array([None if v is None else text(v) for v in table.column(name).to_pylist()], dtype=object)


def text(value: Any) -> str:
    """One value as label text: whole numbers without a point, truth values in lower case.

    >>> [text(v) for v in (1, 1.0, True, "a", None)]
    ['1', '1', 'true', 'a', 'missing']
    """
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def codes(values: npt.NDArray[np.object_] | None) -> npt.NDArray[np.int64] | None:
    """Groups as small integers, for statistics that only ask who belongs together."""
    if values is None:
        return None
    return np.unique(values.astype(str), return_inverse=True)[1].astype(np.int64)


def groups_of(table: pa.Table, schema: Schema) -> npt.NDArray[np.int64] | None:
    """Group codes of these rows, None where no group column is declared."""
    if schema.group is None or schema.group not in table.column_names:
        return None
    return codes(texts(table, schema.group))
