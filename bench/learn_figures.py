"""What bench/learn.py measures on embeddings and answers, and how sure it is of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t

Floats = npt.NDArray[np.float64]
BLOCK = 1000


@dataclass(frozen=True, slots=True)
class Figure:
    """Mean over seeds and test rows, its one-sided 95% lower bound, and the deviation between seeds."""

    mean: float
    low: float
    between_seeds: float
    seeds: int

    def __str__(self) -> str:
        return f"{self.mean:.4f} (>= {self.low:.4f})"


def figure(scores: Floats) -> Figure:
    """Of scores [seeds, rows] on the same test rows: both are samples, of recipes' luck and of the world.

    The variance of the mean is var(row means) / rows + var(seed means) / seeds (both kinds of luck, the second counted
    in the first as well: a little too wide), with Satterthwaite's degrees of freedom.
    """
    seeds, rows = scores.shape
    by_row = float(scores.mean(axis=0).var(ddof=1)) / rows
    by_seed = float(scores.mean(axis=1).var(ddof=1)) / seeds if seeds > 1 else 0.0
    total = by_row + by_seed
    if total <= 0:
        mean = float(scores.mean())
        return Figure(mean, mean, 0.0, seeds)
    df = total**2 / (by_row**2 / (rows - 1) + (by_seed**2 / (seeds - 1) if seeds > 1 else 0.0))
    mean = float(scores.mean())
    return Figure(
        mean, mean - float(t.ppf(0.95, df)) * total**0.5, float(scores.mean(axis=1).std(ddof=min(1, seeds - 1))), seeds
    )


def knn_correct(
    gallery: npt.NDArray[np.float32],
    known: npt.NDArray[np.int64],
    queries: npt.NDArray[np.float32],
    truth: npt.NDArray[np.int64],
    k: int = 20,
) -> Floats:
    """1 where the majority of the k nearest rows of the gallery has the query's class; ties go to the smaller code."""
    classes = int(max(known.max(), truth.max())) + 1
    squares = (gallery**2).sum(axis=1)
    found = []
    for start in range(0, len(queries), BLOCK):
        distance = squares[None, :] - 2 * queries[start : start + BLOCK] @ gallery.T
        nearest = known[np.argpartition(distance, k, axis=1)[:, :k]]
        votes = np.stack([(nearest == c).sum(axis=1) for c in range(classes)], axis=1)
        found.append(votes.argmax(axis=1))
    return (np.concatenate(found) == truth).astype(np.float64)
