"""Exact nearest neighbours in blocks: memory stays bounded, no all-pairs matrix is ever made."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, FloatArray, IntArray

BLOCK = 1024


def nearest(
    gallery: AnyArray, queries: AnyArray, k: int, *, apart: tuple[AnyArray, AnyArray] | None = None
) -> tuple[IntArray, FloatArray]:
    """Row numbers [m, k] in the gallery and Euclidean distances [m, k] of each query's neighbours, nearest first.

    Equal distances are ordered by row number within the k; which of several equally far rows comes in last as
    number k is not defined, but always the same.

    Args:
        gallery: finite rows [n, d]; queries: finite rows [m, d].
        apart: group codes of gallery and queries; rows of one group are never neighbours (leave-one-group-out).
            Places that no row can fill have distance infinity.

    Raises:
        BackstayError: no gallery, k below 1, or values that are NaN or infinite.
    """
    if k < 1 or len(gallery) == 0:
        raise BackstayError(
            f"{k} neighbours of a gallery of {len(gallery)} rows", fix="give rows and ask for at least one"
        )
    wide, sought = np.asarray(gallery, dtype=np.float32), np.asarray(queries, dtype=np.float32)
    if not (np.isfinite(wide).all() and np.isfinite(sought).all()):
        raise BackstayError("rows to compare hold NaN or infinite values", fix="impute or drop them first")
    k = min(k, len(wide))
    places = np.empty((len(sought), k), dtype=np.int64)
    distances = np.empty((len(sought), k), dtype=np.float64)
    # Distances do not change when all rows move together, and the expanded square cancels less near the origin.
    centre = wide.mean(axis=0, dtype=np.float64).astype(np.float32)
    wide = wide - centre
    lengths = np.einsum("ij,ij->i", wide, wide)
    for start, stop in _blocks(len(sought)):
        block = sought[start:stop] - centre
        squared = block @ wide.T
        squared *= -2.0
        squared += lengths
        if apart is not None:
            squared[apart[1][start:stop, None] == apart[0][None, :]] = np.inf
        chosen = np.sort(np.argpartition(squared, k - 1, axis=1)[:, :k], axis=1)
        # Near zero the expanded square is mostly rounding: the chosen ones are measured again.
        exact = np.column_stack([_distance(wide[chosen[:, i]], block) for i in range(k)])
        exact[np.isinf(np.take_along_axis(squared, chosen, axis=1))] = np.inf
        order = np.argsort(exact, axis=1, kind="stable")
        places[start:stop] = np.take_along_axis(chosen, order, axis=1)
        distances[start:stop] = np.take_along_axis(exact, order, axis=1)
    return places, distances


def vote(known: IntArray, places: IntArray, distances: FloatArray, classes: int) -> FloatArray:
    """Shares of the neighbours' classes [m, classes]; rows without a neighbour get equal shares.

    Args:
        known: class positions of the gallery; a neighbour of class -1 has no vote.
    """
    counted = np.isfinite(distances) & (known[places] >= 0)
    shares = np.zeros((len(places), classes))
    for column in range(places.shape[1]):
        rows = np.flatnonzero(counted[:, column])
        shares[rows, known[places[rows, column]]] += 1.0
    total = shares.sum(axis=1, keepdims=True)
    return np.where(total > 0, shares / np.maximum(total, 1.0), 1.0 / classes)


def _distance(first: AnyArray, second: AnyArray) -> FloatArray:
    difference = first.astype(np.float64) - second
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", difference, difference)))


def _blocks(rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, rows, BLOCK):
        yield start, min(start + BLOCK, rows)
