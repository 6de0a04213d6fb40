"""K-means: K centres such that rows lie near to the nearest one, how many to take, and whether they come back.

    minimise  sum over rows of |x - c(x)|^2,   c(x) the nearest of K centres

Greedy k-means++ starts (Arthur & Vassilvitskii 2007), then Lloyd's steps (Lloyd 1982), the best of several starts.
Cost: each step a product of all rows with the centres [n, d] x [d, K].

Trap: it finds K clusters in anything, also where there are none; ask `steadiness` and `silhouette` whether there are
any. Trap: clusters of very different sizes or shapes are cut where no border is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, IntArray
from backstay.maths.partition import adjusted_rand, drawn, silhouette

STARTS = 10
STEPS = 300
BLOCK = 8192
# Starts are tried on so many rows at most; the best is settled on all.
MOST_SAMPLE = 20_000
GRID = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30)
HALVES = 5
_STARTS_OF_HALVES = 3


def fit(rows: FloatArray, count: int, *, seed: int, starts: int = STARTS) -> FloatArray:
    """Centres [count, d] of rows [n, d], those of most rows first. One seed, one result.

    Starts are tried on a seeded sample of at most 20,000 rows; the best is settled on all rows.

    Raises:
        BackstayError: fewer than one cluster, more than there are rows or different rows, or a row that is not finite.
    """
    given = _finite(rows)
    if not 1 <= count <= len(given):
        raise BackstayError(f"{count} clusters of {len(given)} rows", fix=f"ask for 1 to {len(given)} clusters")
    rng = np.random.Generator(np.random.PCG64(seed))
    sample = given
    if len(given) > MOST_SAMPLE:
        sample = given[np.sort(rng.choice(len(given), MOST_SAMPLE, replace=False))]
        if count > len(sample):
            raise BackstayError(f"{count} clusters are too many to find", fix=f"ask for at most {MOST_SAMPLE}")
    best, least = _settled(sample, _first(sample, count, rng))
    for _ in range(starts - 1):
        centres, total = _settled(sample, _first(sample, count, rng))
        if total < least:
            best, least = centres, total
    if sample is not given:
        best, _ = _settled(given, best)
    sizes = np.bincount(assign(given, best)[0], minlength=count)
    return best[np.argsort(-sizes, kind="stable")]


def assign(rows: FloatArray, centres: FloatArray) -> tuple[IntArray, FloatArray]:
    """The nearest centre of each row [n], of equals the first, and the Euclidean distance to it [n]."""
    if rows.ndim != 2 or rows.shape[1] != centres.shape[1]:
        raise BackstayError(
            f"rows of shape {rows.shape} for centres of {centres.shape[1]} numbers",
            fix="give rows of the space that the centres were found in",
        )
    cells, far = np.empty(len(rows), dtype=np.int64), np.empty(len(rows))
    squares = np.square(centres).sum(axis=1)
    for at in range(0, len(rows), BLOCK):
        part = rows[at : at + BLOCK]
        near = np.argmin(squares - 2.0 * (part @ centres.T), axis=1)
        cells[at : at + BLOCK] = near
        far[at : at + BLOCK] = np.sqrt(np.square(part - centres[near]).sum(axis=1))
    return cells, far


@dataclass(frozen=True, slots=True)
class Choice:
    """How many clusters were taken, and the mean silhouette of each number that was tried."""

    count: int
    silhouettes: Mapping[int, float]


def choose(rows: FloatArray, *, seed: int) -> Choice:
    """The number of clusters of 2 to 30 (`GRID`) with the largest mean silhouette (Rousseeuw 1987), of equals the
    least.

    On a seeded sample of at most 4,000 rows; no number above half of those is tried. The rule leans towards few:
    clusters within clusters are told as the larger ones.

    Raises:
        BackstayError: fewer than four rows, or all alike.
    """
    given = _finite(rows)
    sample = given[drawn(len(given), seed=seed)]
    if len(sample) < 4:
        raise BackstayError(f"{len(sample)} rows to choose a number of clusters from", fix="give four rows or more")
    different = len(np.unique(sample, axis=0))
    if different < 2:
        raise BackstayError("all rows are alike", fix="give rows that differ in something")
    found: dict[int, float] = {}
    for count in GRID:
        if count <= min(different, len(sample) // 2):
            cells, _ = assign(sample, fit(sample, count, seed=seed, starts=_STARTS_OF_HALVES))
            found[count] = float(silhouette(sample, cells).mean())
    return Choice(max(found, key=lambda count: (found[count], -count)), found)


def steadiness(rows: FloatArray, count: int, *, seed: int, groups: IntArray | None = None) -> float:
    """Do the clusters come back? The mean adjusted Rand index (Hubert & Arabie 1985) between the clusters of two random
    halves of the rows, each fitted alone and all rows assigned by both, over five draws: 1 the same, 0 chance.

    NaN where a half has fewer different rows than clusters. Ben-Hur et al. 2002; von Luxburg 2010 on what it does not
    say: that clusters come back does not prove that they are apart.

    Args:
        groups: codes of rows that belong together, which stay in one half.
    """
    given = _finite(rows)
    rng = np.random.Generator(np.random.PCG64(seed))
    codes = np.arange(len(given)) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    if len(given) > MOST_SAMPLE:
        kept = np.sort(rng.choice(len(given), MOST_SAMPLE, replace=False))
        given, codes = given[kept], np.unique(codes[kept], return_inverse=True)[1].reshape(-1)
    owners = int(codes.max()) + 1
    found = []
    for _ in range(HALVES):
        first = np.isin(codes, rng.permutation(owners)[: owners // 2])
        halves = given[first], given[~first]
        if min(len(np.unique(half, axis=0)) for half in halves) < count:
            return float("nan")
        cells = [
            assign(given, fit(half, count, seed=int(rng.integers(2**31)), starts=_STARTS_OF_HALVES))[0]
            for half in halves
        ]
        found.append(adjusted_rand(cells[0], cells[1]))
    return float(np.mean(found))


def _finite(rows: FloatArray) -> FloatArray:
    given = np.asarray(rows, dtype=np.float64)
    if given.ndim != 2 or given.shape[1] == 0:
        raise BackstayError(f"rows of shape {given.shape}", fix="give one vector for every row [n, d]")
    lost = np.flatnonzero(~np.isfinite(given).all(axis=1))
    if len(lost):
        raise BackstayError(
            f"{len(lost)} of {len(given)} rows hold NaN or infinity, first row {int(lost[0]) + 1}",
            fix="leave them out, or look at what the model makes of them",
        )
    return given


def _first(rows: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """Greedy k-means++: of a few rows drawn by squared distance to the nearest centre, the one that brings most."""
    tries = 2 + int(np.log(count))
    chosen = [int(rng.integers(len(rows)))]
    far = np.square(rows - rows[chosen[0]]).sum(axis=1)
    while len(chosen) < count:
        total = far.sum()
        if not total > 0.0:
            raise BackstayError(
                f"{count} clusters of rows of which {len(chosen)} differ", fix=f"ask for at most {len(chosen)}"
            )
        best, nearest = -1, far
        for row in rng.choice(len(rows), tries, p=far / total):
            left = np.minimum(far, np.square(rows - rows[row]).sum(axis=1))
            if best < 0 or left.sum() < nearest.sum():
                best, nearest = int(row), left
        chosen.append(best)
        far = nearest
    return rows[chosen]


def _settled(rows: FloatArray, centres: FloatArray) -> tuple[FloatArray, float]:
    """Lloyd's steps until no row changes its centre, or 300; a centre that loses all rows takes the one farthest from
    its own. Answers centres, and the sum of squared distances to them."""
    count, before = len(centres), None
    for _ in range(STEPS):
        cells, far = assign(rows, centres)
        if before is not None and np.array_equal(cells, before):
            break
        sizes = np.bincount(cells, minlength=count)
        for empty in np.flatnonzero(sizes == 0):
            row = int(np.argmax(np.where(sizes[cells] > 1, far, -1.0)))
            sizes[cells[row]] -= 1
            cells[row], far[row], sizes[empty] = empty, 0.0, 1
        centres = _means(rows, cells, sizes)
        before = cells
    return centres, float(np.square(assign(rows, centres)[1]).sum())


def _means(rows: FloatArray, cells: IntArray, sizes: IntArray) -> FloatArray:
    order = np.argsort(cells, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    return np.asarray(np.add.reduceat(rows[order], starts, axis=0) / sizes[:, None], dtype=np.float64)
