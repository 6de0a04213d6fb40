"""Which rows to label for the tightest estimate: strata by how doubtful the answer is, and more labels where it is.

Rows are cut into strata by the predicted chance of being right, and labels are dealt so that the variance of the
estimate is least (Neyman 1934), kept near enough to proportional that a wrong prediction of doubt costs little. Within
a stratum every row has the same chance. The estimate weights strata by their rows; its interval puts exact binomial
limits of the strata together (MOVER: Zou & Donner 2008), so that a stratum in which no error was found still counts
with what it may hide. The predictions decide how tight it is, never whether it is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, IntArray, fraction, same_length, vector
from backstay.maths.intervals import clopper_pearson

STRATA = 3
PROPORTIONAL = 0.3
"""Share of the labels that is dealt by size alone."""
FEWEST = 5
"""Labels of a stratum, where it has so many rows."""


@dataclass(frozen=True, slots=True)
class Stratified:
    """A share `value` in [`low`, `high`] from `n` labels; `effective` labels drawn uniformly would be as good."""

    value: float
    low: float
    high: float
    n: int
    effective: float


def strata_of(chances: FloatArray, strata: int = STRATA) -> IntArray:
    """The stratum of each row [n], 0 the most doubtful: cut where the summed doubt is equal (Dalenius & Hodges 1959).

    Args:
        chances: predicted chance of being right, 0 to 1.
    """
    chance = vector(chances, "chances of being right")
    if np.any((chance < 0) | (chance > 1)):
        raise BackstayError("a chance lies outside 0 to 1", fix="give probabilities")
    doubt = np.sqrt(chance * (1.0 - chance))
    order = np.argsort(-doubt, kind="stable")
    summed = np.cumsum(doubt[order])
    if summed[-1] <= 0.0:
        return np.zeros(len(chance), dtype=np.int64)
    # The row that reaches a boundary is the last of its stratum; equal doubts stay together.
    at = np.minimum((summed - doubt[order] / 2) / summed[-1] * strata, strata - 1).astype(np.int64)
    found = np.empty(len(chance), dtype=np.int64)
    found[order] = at
    for value in np.unique(doubt):
        same = doubt == value
        found[same] = found[same].min()
    _, codes = np.unique(found, return_inverse=True)
    return codes.astype(np.int64)


def allocate(strata: IntArray, chances: FloatArray, labels: int) -> IntArray:
    """How many rows of each stratum to label: a mixture of Neyman's and the proportional allocation, whole numbers.

    >>> allocate(np.repeat([0, 1], [100, 900]), np.repeat([0.6, 0.98], [100, 900]), 50).tolist()
    [11, 39]
    """
    chance = vector(chances, "chances of being right")
    same_length(strata, chance, "strata and chances")
    sizes = np.bincount(strata)
    if not 1 <= labels <= len(chance):
        raise BackstayError(f"{labels} labels of {len(chance)} rows", fix="ask for at least one, and at most all")
    means = np.bincount(strata, weights=chance) / sizes
    weight = sizes * np.sqrt(np.maximum(means * (1.0 - means), 1e-4))
    share = PROPORTIONAL * sizes / sizes.sum() + (1.0 - PROPORTIONAL) * weight / weight.sum()
    least = np.minimum(sizes, min(FEWEST, labels // len(sizes)))
    wanted = np.clip(np.round(share * labels).astype(np.int64), least, sizes)
    while wanted.sum() != labels:
        short = wanted.sum() < labels
        gap = share * labels - wanted
        open_ones = wanted < sizes if short else wanted > least
        gap = np.where(open_ones, gap if short else -gap, -np.inf)
        if not open_ones.any():
            break
        wanted[int(np.argmax(gap))] += 1 if short else -1
    return np.asarray(wanted, dtype=np.int64)


def stratified_mean(right: IntArray, labelled: IntArray, sizes: IntArray, level: float = 0.95) -> Stratified:
    """The share of right answers among all rows.

    Args:
        right: right answers found in each stratum. labelled: labels there, one or more. sizes: its rows.

    >>> found = stratified_mean(np.array([6, 39]), np.array([11, 39]), np.array([100, 900]))
    >>> round(found.value, 3), found.low < 0.955 < found.high
    (0.955, True)
    """
    good, n, rows = (np.asarray(a, dtype=np.float64) for a in (right, labelled, sizes))
    fraction(level, "the level")
    if not (len(good) == len(n) == len(rows) > 0) or np.any(n < 1) or np.any(good > n) or np.any(n > rows):
        raise BackstayError(
            "the strata's labels do not fit their rows", fix="give 1 or more labels a stratum, at most all"
        )
    shares, weights = good / n, rows / rows.sum()
    value = float(weights @ shares)
    limits = [clopper_pearson(float(g), float(m), level) for g, m in zip(good, n, strict=True)]
    # A stratum of which every row is labelled is known.
    known = n >= rows
    below = np.array([0.0 if k else s - b.low for k, s, b in zip(known, shares, limits, strict=True)])
    above = np.array([0.0 if k else b.high - s for k, s, b in zip(known, shares, limits, strict=True)])
    low = max(value - float(np.sqrt(np.sum((weights * below) ** 2))), 0.0)
    high = min(value + float(np.sqrt(np.sum((weights * above) ** 2))), 1.0)
    smoothed = (good + 0.5) / (n + 1.0)
    variance = float(np.sum(np.where(known, 0.0, weights**2 * smoothed * (1 - smoothed) / n)))
    overall = float(np.clip(weights @ smoothed, 1e-6, 1 - 1e-6))
    effective = float(n.sum()) if variance <= 0 else overall * (1 - overall) / variance
    return Stratified(value, low, high, int(n.sum()), effective)
