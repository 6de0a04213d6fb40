"""Logged rows as Parquet files: imports, and segments that have been compacted. Written whole or not at all.

The head of a file says which of its rows have scores or embeddings that are not numbers, so that nobody need read these
to count the rows that can be judged.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from backstay.journal.rows import Rows
from backstay.kernel.disk import synchronise
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import event_id

INPUT = "in."
NO_NUMBERS = b"backstay.no_numbers"
Mask = npt.NDArray[np.bool_]


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
    table = to_table(rows)
    broken = {name: _packed(values) for name, values in (("scores", rows.scores), ("embedding", rows.embeddings))}
    head = {**(table.schema.metadata or {}), NO_NUMBERS: json.dumps(broken).encode()}
    pq.write_table(table.replace_schema_metadata(head), path, compression="zstd")
    synchronise(path)


@dataclass(frozen=True, slots=True)
class Head:
    """What the head of a log file tells of its rows.

    Args:
        columns: all of them. scores, embeddings: how wide they are, None where there are none; inputs: their columns
            by their own names, None where there are none.
        finite: "scores" and "embedding": which rows have numbers there [n], None where all have. Empty for a file of an
            earlier version, whose head says nothing of them.
    """

    rows: int
    columns: tuple[str, ...]
    scores: int | None
    embeddings: int | None
    inputs: pa.Schema | None
    finite: Mapping[str, Mask | None]


def head_of(path: Path) -> Head:
    """The head of a log file; none of its rows is read."""
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable(path, error) from error
    widths = {name: schema.field(name).type.list_size for name in ("scores", "embedding") if name in schema.names}
    inputs = [f.with_name(f.name.removeprefix(INPUT)) for f in schema if f.name.startswith(INPUT)]
    told = (schema.metadata or {}).get(NO_NUMBERS)
    return Head(
        rows=rows,
        columns=tuple(schema.names),
        scores=widths.get("scores"),
        embeddings=widths.get("embedding"),
        inputs=pa.schema(inputs) if inputs else None,
        finite={} if told is None else {name: _unpacked(mask, rows) for name, mask in json.loads(told).items()},
    )


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """A file of the log, or some of its columns."""
    try:
        if columns is None:
            return pq.read_table(path)
        # A year of a log is hundreds of files: this takes a third of the time where few columns are read.
        with pq.ParquetFile(path) as file:
            return file.read(columns, use_threads=False).select(columns)
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> BackstayError:
    return BackstayError(f"the log file {path} cannot be read ({error})", fix="restore it from a backup")


def finite_in(path: Path, name: str) -> Mask | None:
    """Which rows of a file have numbers in this column, "scores" or "embedding"; None where all have."""
    return some_finite(_floats(read_table(path, [name]).column(name)))


def some_finite(values: npt.NDArray[np.float32] | None) -> Mask | None:
    """Which of these rows are numbers throughout [n]; None where all are, or there are none."""
    if values is None:
        return None
    finite = np.asarray(np.isfinite(values).all(axis=1), dtype=np.bool_)
    return None if finite.all() else finite


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
        inputs=_inputs(table.select(inputs)) if inputs else None,
        latencies=_numbers(table.column("latency_ms")) if "latency_ms" in names else None,
    )


def _inputs(table: pa.Table) -> pa.Table:
    """Under their own names, without what the head says of the file."""
    return table.rename_columns([n.removeprefix(INPUT) for n in table.column_names]).replace_schema_metadata(None)


def _packed(values: npt.NDArray[np.float32] | None) -> str:
    """Which rows are no numbers, as text; empty where all are."""
    finite = some_finite(values)
    return "" if finite is None else base64.b64encode(zlib.compress(np.packbits(~finite).tobytes())).decode()


def _unpacked(text: str, rows: int) -> Mask | None:
    if not text:
        return None
    bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8)
    return ~np.unpackbits(bits, count=rows).astype(np.bool_)


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
