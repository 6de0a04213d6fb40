"""Accuracy from a few labels and many predictions of it: prediction-powered inference (PPI++).

theta = lam * mean(f, unlabelled) + mean(Y - lam * f, labelled): right whatever f is, shorter when f is good
(Angelopoulos, Duchi & Zrnic 2023). Its normal interval fails where it is needed, at 50 labels and 98% accuracy
(one error, or none). Here the gain becomes an effective number of labels, shrunk by how few errors it was
learnt from, and the interval is the exact one for that number: docs/statistics/estimates.md, and the coverage table of
the tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, fraction, same_length, vector
from backstay.maths.intervals import Bounds, clopper_pearson

# With so many of the rarer outcome seen, half of the apparent gain is believed.
HALF_BELIEVED = 1.5


@dataclass(frozen=True, slots=True)
class Ppi:
    """Accuracy `estimate` in [`low`, `high`] from `n` labels worth `n_effective`; `lam` is the trust in f, 0 to 1."""

    estimate: float
    low: float
    high: float
    lam: float
    n: int
    n_effective: float
    level: float


def ppi_plus_plus(
    labelled_correct: FloatArray,
    labelled_f: FloatArray,
    unlabelled_f: FloatArray,
    reference_gain: float | None = None,
    level: float = 0.95,
) -> Ppi:
    """Estimate the mean of correctness over the rows that `unlabelled_f` [N] stands for.

    Args: `labelled_correct` [n] 0/1 of rows drawn at random from the same rows, `labelled_f` [n] and
    `unlabelled_f` [N] their predicted probability of being correct, `reference_gain` the share of variance that f
    explained on a large reference (0 to 1), if known: a cap on the gain that is believed.
    """
    y, f = vector(labelled_correct, "labelled correctness"), vector(labelled_f, "predicted correctness, labelled")
    pool = vector(unlabelled_f, "predicted correctness, unlabelled")
    same_length(y, f, "labels and predictions of correctness")
    fraction(level, "the level")
    if np.any((y < 0) | (y > 1)) or len(y) < 2:
        raise BackstayError(f"{len(y)} labels, or values outside 0 to 1", fix="give two labels or more, 0 or 1")
    n, size = len(y), len(pool)
    lam = _trust(y, f, pool)
    theta = float(np.clip(lam * pool.mean() + np.mean(y - lam * f), 0.0, 1.0))
    n_effective = n / _remaining_variance(y, f, pool, lam, reference_gain)
    low, high = clopper_pearson(theta * n_effective, n_effective, level)
    return Ppi(theta, low, high, lam, n, float(min(n_effective, n + size)), level)


def labels_for_halfwidth(ppi: Ppi, halfwidth: float) -> int:
    """Labels that would bring half the interval's width down to `halfwidth`, were all else as in `ppi`."""
    fraction(halfwidth, "the half-width")
    worth = ppi.n_effective / ppi.n
    low, high = 0, 1
    while _width(ppi, high * worth).width > 2 * halfwidth:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _width(ppi, middle * worth).width > 2 * halfwidth else (low, middle)
    return high


def _width(ppi: Ppi, n: float) -> Bounds:
    return clopper_pearson(ppi.estimate * n, n, ppi.level)


def _believed(y: FloatArray) -> float:
    rarer = min(float(y.sum()), float(len(y) - y.sum()))
    return rarer / (rarer + HALF_BELIEVED)


def _trust(y: FloatArray, f: FloatArray, pool: FloatArray) -> float:
    spread = float(np.var(np.concatenate([f, pool]), ddof=1))
    if spread <= 1e-12:
        return 0.0
    covariance = float(np.cov(y, f, ddof=1)[0, 1]) * _believed(y)
    return float(np.clip(covariance / ((1.0 + len(y) / len(pool)) * spread), 0.0, 1.0))


def _remaining_variance(
    y: FloatArray, f: FloatArray, pool: FloatArray, lam: float, reference_gain: float | None
) -> float:
    """Variance of the estimate over that of the labels alone, never below what is believable: in (0, 1]."""
    alone = float(np.var(y, ddof=1)) / len(y)
    if lam <= 0.0 or alone <= 0.0:
        return 1.0
    powered = lam**2 * float(np.var(pool)) / len(pool) + float(np.var(y - lam * f, ddof=1)) / len(y)
    gain = np.clip(1.0 - powered / alone, 0.0, 0.95) * _believed(y)
    if reference_gain is not None:
        gain = min(gain, max(reference_gain, 0.0))
    return float(1.0 - gain)
