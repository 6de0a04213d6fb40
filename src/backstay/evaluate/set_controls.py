"""What a model of sets must beat: the most frequent set, and the labels of neighbours among the raw rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backstay.evaluate.controls import raw_neighbours
from backstay.maths.arrays import BoolArray, FloatArray, IntArray


def most_frequent_set(known: BoolArray, rows: int) -> BoolArray:
    """The set [k] that most known rows have, for every row [rows, k]; of equals the first in their order as bits."""
    sets, counts = np.unique(known, axis=0, return_counts=True)
    return np.repeat(sets[int(counts.argmax())][None, :], rows, axis=0)


def raw_knn_sets(
    gallery: npt.NDArray[np.float32],
    known: BoolArray,
    queries: npt.NDArray[np.float32],
    *,
    k: int,
    leave_out: IntArray | None = None,
) -> FloatArray:
    """Share of the k nearest raw rows that have each label [m, labels]; of all rows where a row has no neighbour.

    A larger gallery is thinned to 20,000 rows.

    Args:
        known: labels of the gallery [n, labels].
        leave_out: group codes; then gallery and queries are the same rows, and a row's own group is no neighbour.
    """
    places, distances = raw_neighbours(gallery, queries, k, leave_out)
    counted = np.isfinite(distances)
    total = sum((known[places[:, i]] & counted[:, i, None] for i in range(places.shape[1])), np.zeros((1, 1)))
    counts = counted.sum(axis=1)[:, None]
    return np.asarray(np.where(counts > 0, total / np.maximum(counts, 1), known.mean(axis=0)))
