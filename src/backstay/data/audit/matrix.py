"""Rows as numbers: what distances are measured on."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backstay.data.images import pixels_of
from backstay.data.vectors import vectors_of
from backstay.kernel.records import ColumnKind, Schema

FloatRows = npt.NDArray[np.float32]
SIDE = 16
CATEGORIES = 12
WORDS = 256


def row_matrix(tables: list[pa.Table], schema: Schema) -> list[FloatRows]:
    """One standardised matrix for each table, columns in common: scale and categories are those of the first.

    Numbers are standardised and clipped at 8 (missing = mean, plus an indicator), the 12 commonest values of a
    category are indicators, images are averaged down to at most 16 x 16 and weigh as they are; vectors too. A text is
    its words, hashed to 256 places and brought to length 1.
    """
    pieces: list[list[FloatRows]] = [[] for _ in tables]
    for name in schema.features:
        kind = schema.column(name).kind
        columns = [t.column(name) for t in tables]
        if kind is ColumnKind.IMAGE:
            blocks = [_small(pixels_of(c)) for c in columns]
        elif kind is ColumnKind.VECTOR:
            blocks = [vectors_of(c) for c in columns]
        elif kind is ColumnKind.TEXT:
            blocks = [text_shares(c) for c in columns]
        elif kind is ColumnKind.CATEGORY:
            blocks = _indicators(columns)
        else:
            blocks = _standard([_numbers(c) for c in columns])
        for place, block in enumerate(blocks):
            pieces[place].append(block)
    return [np.hstack(p).astype(np.float32) for p in pieces]


def _small(pixels: npt.NDArray[np.uint8]) -> FloatRows:
    n, height, width, channels = pixels.shape
    rows, columns = -(-height // SIDE), -(-width // SIDE)
    tall, wide = height // rows * rows, width // columns * columns
    cut = pixels[:, :tall, :wide].reshape(n, tall // rows, rows, wide // columns, columns, channels)
    return np.asarray(cut.mean(axis=(2, 4), dtype=np.float32).reshape(n, -1) / np.float32(255.0))


def text_shares(column: pa.ChunkedArray) -> FloatRows:
    """Texts as [n, 256]: how often each word comes, words hashed to places, rows of length 1 (0 for an empty one)."""
    found = np.zeros((len(column), WORDS), dtype=np.float32)
    for row, text in enumerate(column.to_pylist()):
        for word in (text or "").lower().split():
            found[row, zlib.crc32(word.encode()) % WORDS] += 1
    lengths = np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.float32(1e-12))
    return np.asarray(found / lengths)


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    kind = column.type
    whole = column.cast(pa.int64()) if pa.types.is_timestamp(kind) or pa.types.is_boolean(kind) else column
    values = whole.cast(pa.float64(), safe=False).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def _standard(columns: list[npt.NDArray[np.float64]]) -> list[FloatRows]:
    known = columns[0][~np.isnan(columns[0])]
    centre = float(known.mean()) if len(known) else 0.0
    spread = float(known.std()) if len(known) else 1.0
    gaps = any(np.isnan(c).any() for c in columns)
    blocks = []
    for values in columns:
        gap = np.isnan(values)
        scaled = np.clip((np.where(gap, centre, values) - centre) / (spread if spread > 0 else 1.0), -8, 8)
        blocks.append(np.column_stack([scaled, gap] if gaps else [scaled]).astype(np.float32))
    return blocks


def _indicators(columns: list[pa.ChunkedArray]) -> list[FloatRows]:
    counts = sorted(
        pc.value_counts(columns[0].combine_chunks()).to_pylist(), key=lambda c: (-c["counts"], str(c["values"]))
    )
    common = pa.array([c["values"] for c in counts if c["values"] is not None][:CATEGORIES], pa.string())
    blocks = []
    for column in columns:
        places = pc.fill_null(pc.index_in(column, value_set=common), len(common)).to_numpy()
        blocks.append(np.eye(len(common) + 1, dtype=np.float32)[places])
    return blocks
