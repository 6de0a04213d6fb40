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

    Args:
        apart: group codes of gallery and queries; rows of one group are never neighbours (leave-one-group-out).
            Places that no row can fill have distance infinity.
    """
    if k < 1 or len(gallery) == 0:
        raise BackstayError(f"{k} neighbours of a gallery of {len(gallery)} rows", fix="give rows and ask for at least one")
    k = min(k, len(gallery))
    places = np.empty((len(queries), k), dtype=np.int64)
    distances = np.empty((len(queries), k), dtype=np.float64)
    wide = np.asarray(gallery, dtype=np.float32)
    lengths = np.einsum("ij,ij->i", wide, wide)
    for start, stop in _blocks(len(queries)):
        block = np.asarray(queries[start:stop], dtype=np.float32)
        squared = lengths[None, :] - 2.0 * (block @ wide.T) + np.einsum("ij,ij->i", block, block)[:, None]
        if apart is not None:
            squared[apart[1][start:stop, None] == apart[0][None, :]] = np.inf
        chosen = np.argpartition(squared, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(squared, chosen, axis=1)
        order = np.argsort(near, axis=1, kind="stable")
        places[start:stop] = np.take_along_axis(chosen, order, axis=1)
        distances[start:stop] = np.sqrt(np.maximum(np.take_along_axis(near, order, axis=1), 0.0))
    return places, distances


def vote(known: IntArray, places: IntArray, distances: FloatArray, classes: int) -> FloatArray:
    """Shares of the neighbours' classes [m, classes]; rows without a neighbour get equal shares."""
    counted = np.isfinite(distances) & (known[places] >= 0)
    shares = np.zeros((len(places), classes))
    for column in range(places.shape[1]):
        rows = np.flatnonzero(counted[:, column])
        np.add.at(shares, (rows, known[places[rows, column]]), 1.0)
    total = shares.sum(axis=1, keepdims=True)
    return np.where(total > 0, shares / np.maximum(total, 1.0), 1.0 / classes)


def _blocks(rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, rows, BLOCK):
        yield start, min(start + BLOCK, rows)
