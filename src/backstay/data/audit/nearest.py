"""Nearest neighbours by blocks of a distance matrix: exact, bounded in memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backstay.data.audit.matrix import FloatRows

BLOCK = 256
DIMENSIONS = 64


def nearest(
    queries: FloatRows, gallery: FloatRows, k: int, *, itself: bool = False
) -> tuple[FloatRows, npt.NDArray[np.int64]]:
    """Euclidean distances and places [n, k] of the k nearest gallery rows, nearest first.

    Args:
        itself: queries are the gallery's first rows, and a row is not its own neighbour.
    """
    k = min(k, len(gallery) - int(itself))
    distances = np.empty((len(queries), k), dtype=np.float32)
    places = np.empty((len(queries), k), dtype=np.int64)
    norms = np.einsum("ij,ij->i", gallery, gallery)
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        square = block @ gallery.T
        square *= -2.0
        square += norms
        if itself:
            inside = np.arange(len(block))
            square[inside, start + inside] = np.inf
        best = np.argpartition(square, k - 1, axis=1)[:, :k] if k > 1 else square.argmin(axis=1)[:, None]
        # The expanded square cancels badly near zero, where near-copies are: the chosen ones are measured again.
        exact = np.sqrt(((gallery[best] - block[:, None, :]) ** 2).sum(axis=2))
        order = np.argsort(exact, axis=1, kind="stable")
        distances[start : start + len(block)] = np.take_along_axis(exact, order, axis=1)
        places[start : start + len(block)] = np.take_along_axis(best, order, axis=1)
    return distances, places


def shrink(matrices: list[FloatRows]) -> list[FloatRows]:
    """Wide rows through one seeded random projection to 64 dimensions, distances kept to some 10%.

    Source: Johnson and Lindenstrauss (1984).
    """
    width = matrices[0].shape[1]
    if width <= DIMENSIONS:
        return matrices
    through = np.random.default_rng(0).standard_normal((width, DIMENSIONS)).astype(np.float32) / np.float32(
        np.sqrt(DIMENSIONS)
    )
    return [m @ through for m in matrices]
