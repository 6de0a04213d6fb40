"""Exact nearest rows by cosine, in blocks of the gallery and of the queries: no all-pairs matrix is ever made."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, FloatArray, IntArray

GALLERY_BLOCK = 16_384
QUERY_BLOCK = 256
# So many more are measured again in double precision: rounding of float32 seldom puts a row further back than that.
SPARE = 4
_SHORTEST = 1e-12


def unit_rows(rows: AnyArray, what: str) -> npt.NDArray[np.float32]:
    """The rows [n, d] at length 1, float32.

    Args:
        what: what a row is, for the error: "row", "query".

    Raises:
        BackstayError: a row is NaN, infinite or of no length, so that it has no direction; says which.
    """
    exact = np.asarray(rows, dtype=np.float64)
    if exact.ndim != 2:
        raise BackstayError(f"embeddings of shape {exact.shape}", fix="give one vector for every row [n, d]")
    length = np.sqrt(np.einsum("ij,ij->i", exact, exact))
    lost = np.flatnonzero(~(np.isfinite(length) & (length > _SHORTEST)))
    if len(lost):
        raise BackstayError(
            f"the embedding of {what} {int(lost[0])} has no direction: it is all zeros, NaN or infinite",
            fix=f"leave this {what} out, or look at what the model makes of it",
        )
    return np.asarray(exact / length[:, None], dtype=np.float32)


def nearest_by_cosine(gallery: AnyArray, queries: AnyArray, k: int) -> tuple[IntArray, FloatArray]:
    """Row numbers [m, k] in the gallery and cosines [m, k] of each query's nearest rows, nearest first.

    Equal cosines are ordered by row number. Which of many rows that are equally near to within a millionth comes in
    last as number k is not defined, but always the same.

    Args:
        gallery: unit rows [n, d], float32; may be a memory map, which is read block by block.
        queries: unit rows [m, d].
        k: at least 1; all n rows where there are fewer.

    Raises:
        BackstayError: no gallery, rows of another width, or k below 1.

    >>> nearest_by_cosine(np.eye(3, dtype=np.float32), np.array([[0.6, 0.8, 0.0]]), 2)[0].tolist()
    [[1, 0]]
    """
    if k < 1 or len(gallery) == 0:
        raise BackstayError(f"{k} nearest of a gallery of {len(gallery)} rows", fix="give rows and ask for at least 1")
    sought = np.asarray(queries, dtype=np.float32)
    if sought.ndim != 2 or sought.shape[1] != gallery.shape[1]:
        raise BackstayError(
            f"queries of shape {sought.shape} for a gallery of {gallery.shape[1]} numbers a row",
            fix="embed the queries with a model of the gallery's space",
        )
    k = min(k, len(gallery))
    places = np.empty((len(sought), k), dtype=np.int64)
    cosines = np.empty((len(sought), k), dtype=np.float64)
    for start in range(0, len(sought), QUERY_BLOCK):
        block = slice(start, start + QUERY_BLOCK)
        places[block], cosines[block] = _of_block(gallery, sought[block], k)
    return places, cosines


def _of_block(gallery: AnyArray, sought: npt.NDArray[np.float32], k: int) -> tuple[IntArray, FloatArray]:
    kept = min(k + SPARE, len(gallery))
    places = np.empty((len(sought), 0), dtype=np.int64)
    rough = np.empty((len(sought), 0), dtype=np.float32)
    for start in range(0, len(gallery), GALLERY_BLOCK):
        part = np.asarray(gallery[start : start + GALLERY_BLOCK])
        found, similar = _most(sought @ part.T, kept)
        rough = np.concatenate([rough, similar], axis=1)
        places = np.concatenate([places, found + start], axis=1)
        best, rough = _most(rough, kept)
        places = np.take_along_axis(places, best, axis=1)
    # The chosen ones are measured again in double precision, so that their order does not hang on the blocks.
    exact = np.empty(places.shape, dtype=np.float64)
    wide = sought.astype(np.float64)
    for column in range(places.shape[1]):
        exact[:, column] = np.einsum("ij,ij->i", np.asarray(gallery[places[:, column]], dtype=np.float64), wide)
    order = np.lexsort((places, -exact), axis=1)[:, :k]
    return np.take_along_axis(places, order, axis=1), np.take_along_axis(exact, order, axis=1)


def _most(values: npt.NDArray[np.float32], k: int) -> tuple[IntArray, npt.NDArray[np.float32]]:
    """Columns of the k largest of each row, in the order of the columns, and their values."""
    if k >= values.shape[1]:
        places = np.broadcast_to(np.arange(values.shape[1]), values.shape)
        return places, values
    places = np.sort(np.argpartition(values, values.shape[1] - k, axis=1)[:, values.shape[1] - k :], axis=1)
    return places, np.take_along_axis(values, places, axis=1)
