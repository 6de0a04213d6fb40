"""What a model of numbers must beat besides constants and the value before: neighbours among the raw rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backstay.evaluate.controls import raw_neighbours
from backstay.maths.arrays import FloatArray, IntArray


def raw_knn_values(
    gallery: npt.NDArray[np.float32],
    known: FloatArray,
    queries: npt.NDArray[np.float32],
    *,
    k: int,
    leave_out: IntArray | None = None,
) -> FloatArray:
    """Mean of the k nearest raw rows' numbers [m], of all where a row has no neighbour.

    A larger gallery is thinned to 20,000 rows.

    Args:
        leave_out: group codes; then gallery and queries are the same rows, and a row's own group is no neighbour.
    """
    places, distances = raw_neighbours(gallery, queries, k, leave_out)
    counted = np.isfinite(distances)
    total = np.where(counted, known[places], 0.0).sum(axis=1)
    counts = counted.sum(axis=1)
    return np.asarray(np.where(counts > 0, total / np.maximum(counts, 1), known.mean()))
