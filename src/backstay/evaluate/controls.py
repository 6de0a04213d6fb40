"""What a model must beat to be worth its keep: the commonest class, and neighbours among the raw rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import ColumnKind, Schema
from backstay.maths.arrays import FloatArray, IntArray
from backstay.maths.neighbours import nearest, vote

TOP = 20
MOST_GALLERY = 20_000
CLIP = 6.0


def majority(known: IntArray, rows: int) -> IntArray:
    """The commonest known class (the first of equals), for every row."""
    present = known[known >= 0]
    if len(present) == 0:
        raise BackstayError(
            f"none of {len(known)} labels is a class that the model knows", fix="give rows of the model's classes"
        )
    return np.full(rows, int(np.bincount(present).argmax()), dtype=np.int64)


def raw_knn(
    gallery: npt.NDArray[np.float32],
    known: IntArray,
    queries: npt.NDArray[np.float32],
    *,
    k: int,
    classes: int,
    leave_out: IntArray | None = None,
    seed: int = 0,
) -> FloatArray:
    """Class shares among the k nearest raw rows [m, classes]. A larger gallery is thinned to 20,000 rows.

    Args:
        gallery: rows [n, d] of the classes `known` [n]; -1 for an unknown one, which has no vote.
        leave_out: group codes; then gallery and queries are the same rows, and a row's own group is no neighbour.
        seed: of the thinning.
    """
    kept = np.arange(len(gallery))
    if len(gallery) > MOST_GALLERY:
        kept = np.sort(np.random.default_rng(seed).choice(len(gallery), MOST_GALLERY, replace=False))
    apart = None if leave_out is None else (leave_out[kept], leave_out)
    places, distances = nearest(gallery[kept], queries, k, apart=apart)
    return vote(known[kept], places, distances, classes)


def raw_matrix(table: pa.Table, schema: Schema) -> npt.NDArray[np.float32]:
    """The features as one matrix [n, d]: pixels in [0, 1], numbers standardised, common categories as indicators.

    Numbers are clipped at 6 standard deviations and carry an indicator of what is missing (which is put at the mean);
    a category becomes indicators of its 20 commonest values. Texts and times have no distance here and are left out.
    """
    parts: list[npt.NDArray[np.float32]] = []
    for name in schema.features:
        kind, column = schema.column(name).kind, table.column(name)
        if kind is ColumnKind.IMAGE:
            parts += [_pixels(chunk) for chunk in [pa.concat_arrays(column.chunks)]] if column.num_chunks else []
        elif kind in (ColumnKind.NUMBER, ColumnKind.INTEGER):
            parts.append(_number(column))
        elif kind in (ColumnKind.CATEGORY, ColumnKind.BOOLEAN):
            parts.append(_category(column))
    if not parts:
        return np.zeros((table.num_rows, 1), dtype=np.float32)
    return np.concatenate(parts, axis=1)


def _pixels(chunk: pa.ExtensionArray) -> npt.NDArray[np.float32]:
    pixels = chunk.to_numpy_ndarray()
    flat: npt.NDArray[np.float32] = pixels.reshape(len(pixels), -1).astype(np.float32) / np.float32(255)
    return flat


def _number(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
    known = np.isfinite(values)
    centre = float(values[known].mean()) if known.any() else 0.0
    scale = float(values[known].std()) if known.any() else 1.0
    scaled = np.where(known, (values - centre) / (scale or 1.0), 0.0)
    return np.column_stack([np.clip(scaled, -CLIP, CLIP), ~known]).astype(np.float32)


def _category(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    texts = np.array(["" if v is None else str(v) for v in column.to_pylist()])
    values, counts = np.unique(texts, return_counts=True)
    common = values[np.argsort(-counts, kind="stable")[:TOP]]
    return np.asarray(texts[:, None] == common[None, :], dtype=np.float32)
