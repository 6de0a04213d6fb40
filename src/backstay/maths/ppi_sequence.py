"""Accuracy from a few labels and many predictions of it, right after every label at once: PPI++ as a sequence.

Labels come one by one, and somebody looks each time; the interval of `ppi` keeps its level at one look only. Here

    Z_i = Y_i - lam_i (f_i - mean of f over the traffic),   lam_i chosen from earlier labels alone,

has the accuracy as its conditional mean whatever f is worth, and lies within known limits. For each accuracy m on a
grid two bettors play against "E[Z] = m", one upwards and one downwards, with stakes from the variance so far; the m
against which neither has made 2/alpha are the interval (Waudby-Smith & Ramdas 2024; prediction-powered by Csillag et
al. 2025). The mean of f is itself estimated from rows: a tenth of alpha pays for its own sequence, and the
interval is moved out by the most that it can be wrong.

Trap: a trust lam_i that has seen Y_i, or f fitted again with the new labels, breaks it; so does dropping old labels
(begin a new sequence instead). It costs about half as much again in width as the interval for one look.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, fraction, same_length, vector
from backstay.maths.intervals import Bounds
from backstay.maths.sequences import MeanSequence

GRID = 401
# Of the largest bet that leaves wealth above 0.
MOST_STAKED = 0.75
POOL_SHARE = 0.1
# The trust in f before any label, and the labels that it counts for. A calibrated f deserves 1.
FIRST_TRUST = 0.8
TRUSTED_FOR = 20.0
MOST_TRUST = 1.0


class PpiPath(NamedTuple):
    """Lower and upper limit after each label [n]."""

    low: FloatArray
    high: FloatArray

    @property
    def last(self) -> Bounds:
        return Bounds(float(self.low[-1]), float(self.high[-1]))


def ppi_sequence(
    labelled_correct: FloatArray, labelled_f: FloatArray, pool: FloatArray, alpha: float = 0.05, whole: bool = False
) -> PpiPath:
    """Limits of the accuracy after each label: all of them hold at once with probability 1 - `alpha`.

    Args:
        labelled_correct: 0/1 in the order in which labels came [n], of rows drawn at random from the traffic.
        labelled_f: predicted chance of being right of these rows, fixed before their labels were known.
        pool: the same prediction for unlabelled rows [N], in the order of their arrival.
        whole: the pool is all of the traffic that is asked about, so that its mean is known.

    >>> rng = np.random.default_rng(1); chance = rng.beta(4, 0.5, 2200); y = (rng.random(200) < chance[:200]) * 1.0
    >>> low, high = ppi_sequence(y, chance[:200], chance[200:]).last
    >>> bool(low < 0.889 < high), bool(high - low < 0.2)
    (True, True)
    """
    y, f = vector(labelled_correct, "labelled correctness"), vector(labelled_f, "predicted correctness, labelled")
    others = vector(pool, "predicted correctness, unlabelled")
    same_length(y, f, "labels and predictions of correctness")
    fraction(alpha, "alpha")
    if any(np.any((part < 0.0) | (part > 1.0)) for part in (y, f, others)):
        raise BackstayError("correctness or its prediction outside 0 to 1", fix="give 0 to 1")
    centre, wrong, level = float(others.mean()), 0.0, alpha
    if not whole:
        known = MeanSequence.start(POOL_SHARE * alpha).update(others).current
        centre = float(np.clip(centre, known.low, known.high))
        wrong, level = max(known.high - centre, centre - known.low), (1.0 - POOL_SHARE) * alpha
    trust = _trusts(y, f)
    low, high = _limits(y - trust * (f - centre), -trust * (1.0 - centre), 1.0 + trust * centre, level)
    # E[Z_i] = accuracy + lam_i (centre - true mean): the bets are off by at most the largest trust so far.
    slack = np.maximum.accumulate(trust) * wrong
    return PpiPath(np.maximum(low - slack, 0.0), np.minimum(high + slack, 1.0))


def _trusts(y: FloatArray, f: FloatArray) -> FloatArray:
    """lam_i [n]: the slope of Y on f among earlier labels, drawn to a first trust; never of the label itself."""
    before = np.arange(len(y), dtype=np.float64)

    def earlier(values: FloatArray) -> FloatArray:
        return np.concatenate([[0.0], np.cumsum(values)[:-1]])

    seen = np.maximum(before, 1.0)
    covariance = earlier(y * f) - earlier(y) * earlier(f) / seen
    spread = earlier(f * f) - earlier(f) ** 2 / seen
    typical = np.where(before > 1, spread / seen, 0.0)
    prior = TRUSTED_FOR * np.maximum(typical, 1e-4)
    return np.clip((covariance + FIRST_TRUST * prior) / (np.maximum(spread, 0.0) + prior), 0.0, MOST_TRUST)


def _limits(z: FloatArray, lowest: FloatArray, highest: FloatArray, alpha: float) -> tuple[FloatArray, FloatArray]:
    """Ends of the set of means [n] that neither bettor has made 2/alpha against; Z_i lies within its limits."""
    grid = np.linspace(0.0, 1.0, GRID)
    bets = _bets(z, alpha)
    up, down = np.zeros(GRID), np.zeros(GRID)
    low, high = np.zeros(len(z)), np.ones(len(z))
    limit = np.log(2.0 / alpha)
    for i in range(len(z)):
        edge = z[i] - grid
        up += np.log1p(np.minimum(bets[i], MOST_STAKED / np.maximum(grid - lowest[i], 1e-9)) * edge)
        down += np.log1p(-np.minimum(bets[i], MOST_STAKED / np.maximum(highest[i] - grid, 1e-9)) * edge)
        held = np.flatnonzero(np.maximum(up, down) < limit)
        if len(held):
            low[i] = grid[max(held[0] - 1, 0)]
            high[i] = grid[min(held[-1] + 1, GRID - 1)]
        else:
            low[i] = high[i] = float(np.clip(z[: i + 1].mean(), 0.0, 1.0))
    return low, high


def _bets(z: FloatArray, alpha: float) -> FloatArray:
    """Predictable bets [n]: what would be best by the variance so far, spread over times to come."""
    times = np.arange(1.0, len(z) + 1.0)
    mean = (np.cumsum(z) + 0.5) / (times + 1.0)
    squares = np.cumsum((z - mean) ** 2)
    variance = (np.concatenate([[0.0], squares[:-1]]) + 0.25) / times
    return np.asarray(np.sqrt(2.0 * np.log(2.0 / alpha) / (variance * times * np.log1p(times))))
