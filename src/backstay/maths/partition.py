"""How good a grouping of rows is: by the rows themselves (silhouette), or against another grouping (NMI, ARI)."""

from __future__ import annotations

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, FloatArray, IntArray

MOST_ROWS = 4_000
BLOCK = 500


def drawn(rows: int, *, seed: int) -> IntArray:
    """Places of the rows that are looked at: all, or 4,000 of them by a seeded draw, in order."""
    if rows <= MOST_ROWS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))


def silhouette(points: AnyArray, groups: IntArray, *, seed: int = 0) -> FloatArray:
    """(b - a) / max(a, b) of each row, in [-1, 1]: a is its mean Euclidean distance to the other rows of its group, b
    the least of its mean distances to the rows of another group. A row alone in its group has 0.

    Rousseeuw 1987. More than 4,000 rows are thinned by a seeded draw, and the figures are of those.

    Args:
        points: finite rows [n, d]. groups: code of each one's group [n], of two groups or more.

    >>> silhouette(np.array([[0.0], [0.1], [5.0], [5.1]]), np.array([0, 0, 1, 1])).round(2).tolist()
    [0.98, 0.98, 0.98, 0.98]
    """
    rows = np.asarray(points, dtype=np.float64)
    if len(rows) != len(groups):
        raise BackstayError(f"{len(rows)} points and {len(groups)} groups", fix="give one group for every row")
    chosen = drawn(len(rows), seed=seed)
    rows, groups = rows[chosen], groups[chosen]
    codes = np.unique(groups, return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(codes)
    if len(sizes) < 2:
        raise BackstayError("all rows are in one group", fix="give rows of two groups or more")
    member = np.zeros((len(rows), len(sizes)))
    member[np.arange(len(rows)), codes] = 1.0
    rows = rows - rows.mean(axis=0)
    squares = np.einsum("ij,ij->i", rows, rows)
    found = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK):
        these = np.arange(start, min(start + BLOCK, len(rows)))
        squared = squares[these, None] + squares - 2.0 * (rows[these] @ rows.T)
        squared[np.arange(len(these)), these] = 0.0
        sums = np.sqrt(np.maximum(squared, 0.0)) @ member
        place, own = (np.arange(len(these)), codes[these]), sizes[codes[these]]
        inside = sums[place] / np.maximum(own - 1, 1)
        means = sums / sizes
        means[place] = np.inf
        outside = means.min(axis=1)
        widest = np.maximum(inside, outside)
        found[these] = np.where((own > 1) & (widest > 0), (outside - inside) / np.where(widest > 0, widest, 1.0), 0.0)
    return found


def normalised_mutual_information(first: IntArray, second: IntArray) -> float:
    """Mutual information of two groupings over the mean of their entropies, in [0, 1]; 1 where they are the same up
    to names, and where both are one group.

    It rises with the number of groups by chance alone: look at `adjusted_rand` beside it.

    >>> normalised_mutual_information(np.array([0, 0, 1, 1]), np.array([5, 5, 3, 3]))
    1.0
    """
    table = _table(first, second)
    total = table.sum()
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    entropies = sum(float(-(p * np.log(p)).sum()) for p in (rows / total, columns / total))
    if entropies == 0.0:
        return 1.0
    places = np.nonzero(table)
    joint = table[places] / total
    shared = float((joint * np.log(joint * total * total / (rows[places[0]] * columns[places[1]]))).sum())
    return min(max(2.0 * shared / entropies, 0.0), 1.0)


def adjusted_rand(first: IntArray, second: IntArray) -> float:
    """Share of pairs of rows on which two groupings agree, adjusted so that 0 is chance and 1 the same grouping.

    Hubert & Arabie 1985.

    >>> round(adjusted_rand(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])), 9)
    -0.5
    """
    table = _table(first, second)
    both, one, other = (float((n * (n - 1.0) / 2.0).sum()) for n in (table, table.sum(axis=1), table.sum(axis=0)))
    pairs = float(table.sum() * (table.sum() - 1.0) / 2.0)
    expected = one * other / pairs if pairs else 0.0
    widest = (one + other) / 2.0
    return 1.0 if widest == expected else (both - expected) / (widest - expected)


def _table(first: IntArray, second: IntArray) -> FloatArray:
    """How many rows each pair of groups shares [groups of the first, groups of the second]."""
    if len(first) != len(second) or len(first) == 0:
        raise BackstayError(
            f"groupings of {len(first)} and {len(second)} rows", fix="give both for the same rows, at least one"
        )
    codes = [np.unique(g, return_inverse=True)[1].reshape(-1) for g in (first, second)]
    table = np.zeros((codes[0].max() + 1, codes[1].max() + 1))
    np.add.at(table, (codes[0], codes[1]), 1.0)
    return table
