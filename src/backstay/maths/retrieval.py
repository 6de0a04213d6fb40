"""How well embeddings find their own kind: recall@k and MAP@R (Musgrave et al., A Metric Learning Reality Check, 2020).

Ties are counted against the embedding. Otherwise an encoder that maps everything to one point scores by the order
of the rows, or perfectly.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, FloatArray, IntArray

MOST_GALLERY = 20_000
MOST_QUERIES = 2_000
MOST_CELLS = 20_000_000  # gallery rows x dimensions: 160 MB
MOST_PAIRS = 20_000_000  # queries x gallery rows
BLOCK_PAIRS = 2_000_000
# Distances that differ by less than a millionth of the longest embedding are rounding of float32, hence equal.
GRID = 1e-6
NOWHERE = np.int32(2**31 - 2)


class Retrieval(NamedTuple):
    """Figures by query [q].

    Args:
        queries: which rows were queries, in order.
        hit: 1 where one of the nearest other rows, as many as were asked for, is of the query's class (recall@k).
        precision: average precision at R (MAP@R), R being the number of other rows of the query's class.
    """

    queries: IntArray
    hit: FloatArray
    precision: FloatArray


def retrieval(
    embeddings: AnyArray,
    labels: IntArray,
    *,
    groups: IntArray | None = None,
    asked: AnyArray | None = None,
    within: int = 1,
    seed: int = 0,
) -> Retrieval:
    """Each row of `embeddings` [n, d] is a query against all others, by Euclidean distance.

    Rows of a query's own group are left out. A row whose class occurs nowhere else is no query. More than 20,000
    rows or 2,000 queries are thinned by a seeded draw (fewer where rows are wide), so time and memory are bounded.

    Args:
        asked: rows [n] that are queries and not found by others, as truth values; the rest is found and never asks.
            Where it is left out, every row is both.
        within: how many of the nearest rows `hit` looks at: k of recall@k.

    >>> points = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> retrieval(points, np.array([0, 0, 1, 1])).hit.tolist()
    [1.0, 1.0, 1.0, 1.0]
    >>> retrieval(np.ones((4, 1)), np.array([0, 0, 1, 1])).hit.tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    wide = np.asarray(embeddings)
    if wide.ndim != 2 or len(wide) != len(labels):
        raise BackstayError(
            f"embeddings of shape {wide.shape} for {len(labels)} labels", fix="give one embedding for every row [n, d]"
        )
    rng = np.random.default_rng(seed)
    rows = _draw(np.arange(len(labels)), min(MOST_GALLERY, MOST_CELLS // max(wide.shape[1], 1)), rng)
    truth = labels[rows]
    apart = np.arange(len(rows)) if groups is None else groups[rows]
    there = np.ones(len(rows), dtype=bool) if asked is None else ~asked[rows]
    relevant = _relevant(truth, apart, there)
    sought = relevant > 0 if asked is None else (relevant > 0) & ~there
    queries = _draw(np.flatnonzero(sought), min(MOST_QUERIES, MOST_PAIRS // max(len(rows), 1)), rng)
    hit, precision = np.empty(len(queries)), np.empty(len(queries))
    if len(queries):
        points, grid = _scaled(wide[rows])
        depth = max(int(relevant[queries].max()), within)
        for block in _blocks(len(queries), max(1, BLOCK_PAIRS // len(rows))):
            these = queries[block]
            found = _ranked(points, grid, truth, apart, these, depth, there)
            hit[block] = found[:, :within].max(axis=1)
            precision[block] = _average_precision(found, relevant[these])
    return Retrieval(rows[queries], hit, precision)


def _scaled(points: AnyArray) -> tuple[FloatArray, float]:
    """Rows in double precision, and the distance below which two of them are the same.

    Double precision keeps the rounding of the expanded square well under that distance.
    """
    exact = points.astype(np.float64)
    longest = float(np.sqrt(np.einsum("ij,ij->i", exact, exact).max()))
    if not np.isfinite(longest):
        raise BackstayError("embeddings hold NaN or infinite values", fix="mend the encoder, or drop these rows")
    return exact, GRID * longest or 1.0


def _ranked(
    points: FloatArray,
    grid: float,
    truth: IntArray,
    apart: AnyArray,
    asked: IntArray,
    depth: int,
    there: AnyArray,
) -> FloatArray:
    """1 where the neighbour of this rank is of the query's class [queries, depth]; of equals the wrong ones first."""
    block = points[asked]
    squared = np.einsum("ij,ij->i", block, block)[:, None] - 2.0 * (block @ points.T)
    squared += np.einsum("ij,ij->i", points, points)
    # One number holds rank and relevance: the distance in steps of the grid, then 0 for wrong and 1 for right.
    keys = np.rint(np.sqrt(np.maximum(squared, 0.0)) / grid).astype(np.int32) * 2
    keys += truth[asked][:, None] == truth
    keys[apart[asked][:, None] == apart] = NOWHERE
    keys[:, ~there] = NOWHERE
    if depth < keys.shape[1]:
        keys = np.partition(keys, depth - 1, axis=1)[:, :depth]
    return np.asarray(np.sort(keys, axis=1) % 2, dtype=np.float64)


def _average_precision(found: FloatArray, relevant: IntArray) -> FloatArray:
    ranks = np.arange(1, found.shape[1] + 1)
    counted = found * (ranks <= relevant[:, None])
    return np.asarray((np.cumsum(found, axis=1) / ranks * counted).sum(axis=1) / relevant)


def _relevant(labels: IntArray, apart: AnyArray, there: AnyArray) -> IntArray:
    """Rows of the same class in other groups that can be found, for each row."""
    if len(labels) == 0:
        return np.zeros(0, dtype=np.int64)
    kind = np.unique(labels, return_inverse=True)[1].reshape(-1)
    pair = np.unique(np.column_stack([labels, apart]), axis=0, return_inverse=True)[1].reshape(-1)
    of_class, of_pair = (np.bincount(codes, weights=there) for codes in (kind, pair))
    return np.asarray(of_class[kind] - of_pair[pair], dtype=np.int64)


def _draw(rows: IntArray, most: int, rng: np.random.Generator) -> IntArray:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _blocks(rows: int, size: int) -> Iterator[slice]:
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
