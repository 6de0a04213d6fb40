"""Logged rows as Parquet files: imports, and segments that have been compacted. Written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from backstay.journal.rows import Rows
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import event_id

INPUT = "in."


def write_part(directory: Path, rows: Rows) -> Path:
    """Write rows as a new file of this directory."""
    target = directory / f"{event_id('part')}.parquet"
    fresh = directory / f".{target.name}.tmp"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_rows(fresh, rows)
        fresh.replace(target)
        synchronise(directory)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise BackstayError(
            f"the log {directory} cannot be written ({error.strerror or error}); nothing was added",
            fix="free disk space or check the folder's owner",
        ) from error
    return target


def write_rows(path: Path, rows: Rows) -> None:
    """Write rows to this file and wait until they are on disk."""
    pq.write_table(to_table(rows), path, compression="zstd")
    synchronise(path)


def synchronise(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def to_table(rows: Rows) -> pa.Table:
    """Rows as one table; inputs under the prefix "in."."""
    columns: dict[str, Any] = {
        "id": pa.array([str(i) for i in rows.ids], pa.string()),
        "time": pa.array(rows.times, pa.timestamp("us", tz="UTC")),
        "release": pa.array([str(r) for r in rows.releases], pa.string()),
        "prediction": pa.array([str(p) for p in rows.predictions], pa.string()),
    }
    if rows.scores is not None:
        columns["scores"] = _matrix(rows.scores)
    if rows.embeddings is not None:
        columns["embedding"] = _matrix(rows.embeddings)
    if rows.groups is not None:
        columns["group"] = pa.array([None if g is None else str(g) for g in rows.groups], pa.string())
    if rows.latencies is not None:
        columns["latency_ms"] = pa.array(rows.latencies, pa.float64())
    if rows.inputs is not None:
        columns |= {INPUT + name: rows.inputs.column(name) for name in rows.inputs.column_names}
    return pa.table(columns)


def from_table(table: pa.Table) -> Rows:
    """The rows that `to_table` was given."""
    names = table.column_names
    inputs = [n for n in names if n.startswith(INPUT)]
    return Rows(
        ids=_objects(table.column("id")),
        times=table.column("time").to_numpy().astype("datetime64[us]"),
        releases=_objects(table.column("release")),
        predictions=_objects(table.column("prediction")),
        scores=_floats(table.column("scores")) if "scores" in names else None,
        embeddings=_floats(table.column("embedding")) if "embedding" in names else None,
        groups=_objects(table.column("group")) if "group" in names else None,
        inputs=table.select(inputs).rename_columns([n.removeprefix(INPUT) for n in inputs]) if inputs else None,
        latencies=_numbers(table.column("latency_ms")) if "latency_ms" in names else None,
    )


def _matrix(values: npt.NDArray[np.float32]) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    width = column.type.list_size
    joined = column.combine_chunks()
    flat = joined.flatten() if isinstance(joined, pa.Array) else joined.chunk(0).flatten()
    return np.asarray(flat.to_numpy(zero_copy_only=False), dtype=np.float32).reshape(-1, width)


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _objects(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=object)
