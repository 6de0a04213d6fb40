"""How well embeddings find their own kind: recall@1 and MAP@R (Musgrave et al., A Metric Learning Reality Check, 2020)."""

from __future__ import annotations

import numpy as np

from backstay.maths.arrays import AnyArray, FloatArray, IntArray
from backstay.maths.neighbours import nearest

MOST_QUERIES = 2000
MOST_GALLERY = 20_000


def retrieval(
    embeddings: AnyArray, labels: IntArray, *, groups: IntArray | None = None, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Per query: is its nearest neighbour of its class (recall@1), and its average precision at R (MAP@R), [q] each.

    R is the number of other rows of the query's class. Each row is a query against all others; rows of its own
    group are left out. More than 20,000 rows or 2,000 queries are thinned by a seeded draw. Ties are broken against
    the embedding: a collapsed encoder, whose distances are all equal, must not score by luck, so its queries count 0.
    Rows without another row of their class are no queries; without any query both arrays are empty.
    """
    rng = np.random.default_rng(seed)
    rows = np.arange(len(labels))
    if len(rows) > MOST_GALLERY:
        rows = np.sort(rng.choice(rows, MOST_GALLERY, replace=False))
    kept, truth = np.asarray(embeddings)[rows], labels[rows]
    apart = np.arange(len(rows)) if groups is None else groups[rows]
    relevant = _relevant(truth, apart)
    queries = np.flatnonzero(relevant > 0)
    if len(queries) > MOST_QUERIES:
        queries = np.sort(rng.choice(queries, MOST_QUERIES, replace=False))
    if len(queries) == 0:
        return np.empty(0), np.empty(0)
    depth = int(relevant[queries].max())
    places, distances = nearest(kept, kept[queries], depth, apart=(apart, apart[queries]))
    hit = (truth[places] == truth[queries, None]) & np.isfinite(distances)
    flat = distances[:, 0] == distances[:, -1] if depth > 1 else np.zeros(len(queries), dtype=bool)
    hit[flat] = False
    counted = np.arange(depth)[None, :] < relevant[queries, None]
    precision = np.cumsum(hit, axis=1) / np.arange(1, depth + 1)[None, :]
    average = (precision * hit * counted).sum(axis=1) / relevant[queries]
    return hit[:, 0].astype(np.float64), average


def _relevant(labels: IntArray, apart: IntArray) -> IntArray:
    """Rows of the same class in other groups, for each row."""
    same_class = np.unique(labels, return_inverse=True, return_counts=True)
    both = np.unique(np.column_stack([labels, apart]), axis=0, return_inverse=True, return_counts=True)
    return np.asarray(same_class[2][same_class[1].reshape(-1)] - both[2][both[1].reshape(-1)], dtype=np.int64)
