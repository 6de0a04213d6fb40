"""A 64-bit number for each row: equal rows are equal, on every machine. For dealing and for finding repeats.

Not for identity: 64 bits mixed by splitmix64 withstand chance, not malice. Source of the mixer: Steele, Lea and
Flood, "Fast splittable pseudorandom number generators" (2014).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backstay.data.images import pixels_of
from backstay.data.vectors import vectors_of
from backstay.kernel.records import ColumnKind, Schema

Fingerprints = npt.NDArray[np.uint64]
NULL = np.uint64(0x9E3779B97F4A7C15)


def fingerprints(table: pa.Table, schema: Schema, names: Iterable[str]) -> Fingerprints:
    """Fingerprints [n] of these columns of conformed rows, in this order."""
    total = np.zeros(table.num_rows, dtype=np.uint64)
    for place, name in enumerate(names, 1):
        values = _values(table.column(name), schema.column(name).kind)
        total = mix(total ^ mix(values + np.uint64(place)))
    return total


def mix(x: Fingerprints) -> Fingerprints:
    """The finaliser of splitmix64, element by element; overflow wraps on purpose."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def _values(column: pa.ChunkedArray, kind: ColumnKind) -> Fingerprints:
    if kind is ColumnKind.IMAGE:
        pixels = pixels_of(column)
        return np.array([_eight(row.tobytes()) for row in pixels], dtype=np.uint64)
    if kind is ColumnKind.VECTOR:
        return np.array([_eight(row.tobytes()) for row in vectors_of(column).astype("<f4")], dtype=np.uint64)
    if kind in (ColumnKind.CATEGORY, ColumnKind.TEXT):
        encoded = column.combine_chunks().dictionary_encode()
        known = [_eight(v.encode()) for v in encoded.dictionary.to_pylist()]
        table = np.array([*known, int(NULL)], dtype=np.uint64)
        return np.asarray(table[pc.fill_null(encoded.indices, len(known)).to_numpy(zero_copy_only=False)])
    if kind is ColumnKind.NUMBER:
        numbers = pc.fill_null(column, 0.0).to_numpy().astype("<f8")
        numbers[np.isnan(numbers)] = np.nan
        bits = numbers.view(np.uint64).copy()
    else:
        whole = column.cast(pa.int64())
        bits = pc.fill_null(whole, 0).to_numpy().astype("<i8").view(np.uint64).copy()
    bits[column.is_null().to_numpy()] = NULL
    return np.asarray(bits, dtype=np.uint64)


def _eight(content: bytes) -> int:
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "little")
