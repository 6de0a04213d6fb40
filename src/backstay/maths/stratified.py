"""Which rows to label for the tightest estimate: strata by how doubtful the answer is, and more labels where it is.

Rows are cut into strata by the predicted chance of being right, and labels are dealt so that the variance of the
estimate is least (Neyman 1934), kept near enough to proportional that a wrong prediction of doubt costs little. Within
a stratum every row has the same chance. The estimate weights strata by their rows; its interval puts Jeffreys limits
of the strata together (MOVER: Zou & Donner 2008), so that a stratum in which no error was found still counts with what
it may hide. The predictions decide how tight it is, never whether it is right.

Two strata and Jeffreys limits are a choice by measurement (docs/statistics/estimates.md): exact limits of each stratum,
put together, are wider than the exact interval of a uniform draw, and so is a third stratum at 30 labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, IntArray, fraction, same_length, vector

STRATA = 2
PROPORTIONAL = 0.5
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


def doubt_cuts(chances: FloatArray, strata: int = STRATA) -> tuple[float, ...]:
    """Where doubts are cut, largest first: where their sum is equal on both sides (Dalenius & Hodges 1959).

    Args:
        chances: predicted chance of being right, 0 to 1; the doubt of a row is sqrt(chance (1 - chance)).

    Fewer cuts than asked for where most doubts are the same; none where they all are.
    """
    falling = np.sort(_doubts(chances))[::-1]
    summed = np.cumsum(falling)
    cuts: list[float] = []
    for part in range(1, strata):
        # The row that reaches the boundary is the last of its stratum; equal doubts stay together.
        at = float(falling[int(np.searchsorted(summed, summed[-1] * part / strata))]) if summed[-1] > 0 else 0.0
        if at > falling[-1] and at not in cuts:
            cuts.append(at)
    return tuple(cuts)


def strata_of(chances: FloatArray, cuts: tuple[float, ...]) -> IntArray:
    """The stratum of each row [n], 0 the most doubtful.

    >>> chances = np.array([0.99, 0.6, 0.98, 0.7])
    >>> strata_of(chances, doubt_cuts(chances)).tolist()
    [1, 0, 1, 0]
    """
    doubts = _doubts(chances)
    below = doubts[:, None] < np.asarray(cuts, dtype=np.float64)[None, :]
    return np.asarray(below.sum(axis=1), dtype=np.int64)


def allocate(strata: IntArray, chances: FloatArray, labels: int, already: IntArray | None = None) -> IntArray:
    """How many rows of each stratum to label: a mixture of Neyman's and the proportional allocation, whole numbers.

    Args:
        already: labels that each stratum has; these are topped up.

    >>> allocate(np.repeat([0, 1], [100, 900]), np.repeat([0.6, 0.98], [100, 900]), 50).tolist()
    [9, 41]
    """
    chance = vector(chances, "chances of being right")
    same_length(strata, chance, "strata and chances")
    sizes = np.bincount(strata)
    given = np.zeros(len(sizes), dtype=np.int64) if already is None else np.asarray(already, dtype=np.int64)
    same_length(sizes, given, "strata and the labels that they have")
    total = labels + int(given.sum())
    if labels < 1 or total > len(chance):
        raise BackstayError(f"{labels} labels of {len(chance)} rows", fix="ask for at least one, and at most all")
    means = np.bincount(strata, weights=chance) / np.maximum(sizes, 1)
    weight = sizes * np.sqrt(np.maximum(means * (1.0 - means), 1e-4))
    share = PROPORTIONAL * sizes / sizes.sum() + (1.0 - PROPORTIONAL) * weight / weight.sum()
    least = np.maximum(np.minimum(sizes, min(FEWEST, total // len(sizes))), given)
    wanted = np.clip(np.round(share * total).astype(np.int64), least, sizes)
    while wanted.sum() != total:
        short = wanted.sum() < total
        gap = share * total - wanted
        open_ones = wanted < sizes if short else wanted > least
        if not open_ones.any():
            # Strata that have fewer labels than the least wait for the next draw.
            least = given
            continue
        wanted[int(np.argmax(np.where(open_ones, gap if short else -gap, -np.inf)))] += 1 if short else -1
    return np.asarray(wanted - given, dtype=np.int64)


def stratified_mean(right: IntArray, labelled: IntArray, sizes: IntArray, level: float = 0.95) -> Stratified:
    """The share of right answers among all rows.

    Args:
        right: right answers found in each stratum. labelled: labels there, one or more. sizes: its rows.

    >>> found = stratified_mean(np.array([6, 40]), np.array([9, 41]), np.array([100, 900]))
    >>> round(found.value, 3), found.low < 0.945 < found.high
    (0.945, True)
    """
    good, n, rows = (np.asarray(a, dtype=np.float64) for a in (right, labelled, sizes))
    tail = (1.0 - fraction(level, "the level")) / 2.0
    if not (len(good) == len(n) == len(rows) > 0) or np.any(n < 1) or np.any(good > n) or np.any(n > rows):
        raise BackstayError(
            "the strata's labels do not fit their rows", fix="give 1 or more labels a stratum, at most all"
        )
    shares, weights = good / n, rows / rows.sum()
    value = float(weights @ shares)
    # A stratum of which every row is labelled is known.
    known = n >= rows
    low = np.where(good > 0, betaincinv(good + 0.5, n - good + 0.5, tail), 0.0)
    high = np.where(good < n, betaincinv(good + 0.5, n - good + 0.5, 1.0 - tail), 1.0)
    below = float(np.sqrt(np.sum(np.where(known, 0.0, weights * (shares - low)) ** 2)))
    above = float(np.sqrt(np.sum(np.where(known, 0.0, weights * (high - shares)) ** 2)))
    smoothed = (good + 0.5) / (n + 1.0)
    variance = float(np.sum(np.where(known, 0.0, weights**2 * smoothed * (1 - smoothed) / n)))
    overall = float(np.clip(weights @ smoothed, 1e-6, 1 - 1e-6))
    effective = float(rows.sum()) if variance <= 0 else overall * (1 - overall) / variance
    return Stratified(value, max(value - below, 0.0), min(value + above, 1.0), int(n.sum()), effective)


def stratified_upper(right: IntArray, labelled: IntArray, sizes: IntArray, alpha: float) -> float:
    """An upper limit of the share that holds with chance 1 - `alpha` or more at any level, for decisions.

    Each stratum's exact limit at alpha / strata, weighted by rows: all hold together (Bonferroni). `stratified_mean` is
    shorter, but measured at 95%: far out its limit misses up to ten times as often as it says.

    >>> round(stratified_upper(np.array([6, 40]), np.array([9, 41]), np.array([100, 900]), 0.001), 3)
    0.998
    """
    good, n, rows = (np.asarray(a, dtype=np.float64) for a in (right, labelled, sizes))
    tail = fraction(alpha, "alpha") / len(rows)
    high = np.where(good < n, betaincinv(good + 1.0, np.maximum(n - good, 1e-9), 1.0 - tail), 1.0)
    return float(rows @ np.where(n >= rows, good / n, high) / rows.sum())


def _doubts(chances: FloatArray) -> FloatArray:
    chance = vector(chances, "chances of being right")
    if np.any((chance < 0) | (chance > 1)):
        raise BackstayError("a chance lies outside 0 to 1", fix="give probabilities")
    return np.sqrt(chance * (1.0 - chance))
