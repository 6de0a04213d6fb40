"""A content id for rows: the same whatever the file format, another when any cell is another.

Rows are cut into chunks of 65,536. In each chunk every column is hashed from canonical bytes: packed validity only
where there are nulls, little-endian values with nulls zeroed and one NaN, lengths before joined text. The chunk's
hash is that of its columns' hashes; the id is that of version, schema, row count and chunk hashes. Appended rows
leave all full chunks as they were. -0.0 and 0.0 are different values, NaN and null too.
"""

from __future__ import annotations

import hashlib
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backstay.kernel.codec import encode
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import canonical_json, content_id
from backstay.kernel.records import Column, ColumnKind, Schema

VERSION = 1
CHUNK = 65_536
THREADS = 2


@dataclass(frozen=True, slots=True)
class Identity:
    """What rows are called: `id` for all of them, `chunks` (SHA-256, hexadecimal) for each 65,536 rows in order."""

    id: str
    chunks: tuple[str, ...]
    rows: int

    def shares(self, other: Identity) -> int:
        """How many leading chunks both have in common.

        >>> Identity("a", ("x", "y"), 9).shares(Identity("b", ("x", "z"), 9))
        1
        """
        return next(
            (i for i, (a, b) in enumerate(zip(self.chunks, other.chunks, strict=False)) if a != b),
            min(len(self.chunks), len(other.chunks)),
        )


def identify(table: pa.Table, schema: Schema) -> Identity:
    """The identity of rows that conform to a schema. Raises BackstayError when they do not."""
    names = [c.name for c in schema.columns]
    if table.column_names != names:
        raise BackstayError(
            f"the rows have the columns {', '.join(table.column_names)}, the schema {', '.join(names)}",
            fix="pass them through conform(table, schema) first",
        )
    starts = range(0, table.num_rows, CHUNK)
    with ThreadPoolExecutor(THREADS) as pool:
        chunks = tuple(pool.map(lambda start: _chunk(table, schema, start), starts))
    head = canonical_json(
        {"version": VERSION, "schema": encode(schema), "rows": table.num_rows, "chunks": list(chunks)}
    )
    return Identity(content_id("data", hashlib.sha256(head).hexdigest()), chunks, table.num_rows)


def _chunk(table: pa.Table, schema: Schema, start: int) -> str:
    whole = hashlib.sha256()
    for column in schema.columns:
        whole.update(_column(table.column(column.name).slice(start, CHUNK), column))
    return whole.hexdigest()


def _column(values: pa.ChunkedArray, column: Column) -> bytes:
    array = pa.concat_arrays([c.storage if isinstance(c, pa.ExtensionArray) else c for c in values.chunks])
    hasher = hashlib.sha256(struct.pack("<Q?", len(array), array.null_count > 0))
    if array.null_count:
        _part(hasher, np.packbits(array.is_valid().to_numpy(zero_copy_only=False)))
    if column.kind is ColumnKind.IMAGE:
        _part(hasher, array.flatten().to_numpy(zero_copy_only=False))
    elif column.kind is ColumnKind.VECTOR:
        # Missing vectors have no numbers here; which rows they are is in the validity above.
        _part(hasher, array.flatten().to_numpy(zero_copy_only=False).astype("<f4"))
    elif column.kind in (ColumnKind.CATEGORY, ColumnKind.TEXT):
        _text(hasher, array)
    elif column.kind is ColumnKind.NUMBER:
        numbers = pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False).astype("<f8")
        numbers[np.isnan(numbers)] = np.nan
        _part(hasher, numbers)
    elif column.kind is ColumnKind.BOOLEAN:
        _part(hasher, np.packbits(pc.fill_null(array, False).to_numpy(zero_copy_only=False)))
    else:
        whole = array.cast(pa.int64()) if column.kind is ColumnKind.TIME else array
        _part(hasher, pc.fill_null(whole, 0).to_numpy(zero_copy_only=False).astype("<i8"))
    return hasher.digest()


def _text(hasher: hashlib._Hash, array: pa.Array) -> None:
    dense = pc.fill_null(array, "").cast(pa.large_binary())
    if dense.offset:
        dense = pa.concat_arrays([dense, dense.slice(0, 0)])
    _, offsets_buffer, data = dense.buffers()
    first = dense.offset
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)[first : first + len(dense) + 1]
    _part(hasher, np.diff(offsets).astype("<u4"))
    content = memoryview(data)[offsets[0] : offsets[-1]] if data is not None else memoryview(b"")
    hasher.update(struct.pack("<Q", len(content)))
    hasher.update(content)


def _part(hasher: hashlib._Hash, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> None:
    content = memoryview(np.ascontiguousarray(values).view(np.uint8).reshape(-1).data)
    hasher.update(struct.pack("<Q", content.nbytes))
    hasher.update(content)
