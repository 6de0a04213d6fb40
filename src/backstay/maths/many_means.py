"""Did the means of several columns move together, each too little to be seen alone?

T = sum of z_k^4 over K columns, z_k the difference of window and reference in standard errors of the window. The fourth
power stands between the largest z^2 (best where one column moved) and the sum of z^2 (best where all did): of two
columns of twenty moved by three standard errors each it finds at 5% false alarms 83%, the largest 79%, the sum 75%; of
six moved by 1.5 it finds 50%, 35% and 55% (tests/maths/test_many_means.py).

The law of T has no formula where columns hang together. It is simulated with the reference's correlations, by
importance sampling: one column of each draw is made to stray, so that rare values of T are seen as often as common
ones, and the weight of a draw is a ratio of densities that is known exactly. The reference's error is fixed: the
threshold is the 95th percentile over simulated references of what each would need (docs/statistics/drift.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from backstay.maths.arrays import FloatArray
from backstay.maths.meanshift import LEAST_ALPHA, MeanShift

FEWEST, MOST = 3, 200
REFERENCES, DRAWS = 200, 4000
# Standard deviation of what one column of each draw strays by.
STRAYING = 3.0
WORST_SHARE = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class ManyMeans:
    """Correlations [K, K] of the columns' values over the reference's rows."""

    correlation: FloatArray

    @staticmethod
    def fit(values: FloatArray) -> ManyMeans | None:
        """From the values [n, K] of columns that vary; None for fewer than 3 of them, or more than 200."""
        if not FEWEST <= values.shape[1] <= MOST:
            return None
        return ManyMeans(np.atleast_2d(np.corrcoef(values, rowvar=False)))

    def threshold(self, ratio: float, alpha: float) -> float:
        """The T that alarms at level `alpha`, where the variance of the reference's mean is `ratio` of the window's."""
        # In steps of 2%, so that windows alike share one simulation.
        step = float(np.exp(np.round(np.log(max(ratio, 1e-4)) * 50.0) / 50.0))
        return _simulated(self.correlation.tobytes(), step, alpha)

    def evidence(
        self, levels: Sequence[MeanShift], means: FloatArray, n: float, alpha: float, source: float
    ) -> FloatArray:
        """[...] of windows whose means are [..., K]: 1 or more is an alarm at level `alpha`.

        Args:
            levels: the reference of each column's value.
            means: of the windows.
            n: effective rows of a window.
            source: see `MeanShift.check`.
        """
        each = max(alpha / len(levels), LEAST_ALPHA)
        skew = np.array([level.skew(n, each, source) for level in levels])
        variance = np.array([level.spectrum.weights[0] for level in levels])
        fixed = np.array([level.spectrum.fixed(source)[0] for level in levels])
        z = (means - np.array([level.mean[0] for level in levels])) / np.sqrt(variance * skew / n)
        return np.asarray(np.sqrt(statistic(z) / self.threshold(float(np.max(fixed * n / variance)), alpha)))

    def to_json(self) -> dict[str, Any]:
        return {"correlation": self.correlation.tolist()}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> ManyMeans:
        return ManyMeans(np.asarray(state["correlation"], dtype=np.float64))


def statistic(z: FloatArray) -> FloatArray:
    """T of rows [..., K]."""
    squares = z * z
    return np.asarray(np.einsum("...k,...k->...", squares, squares))


@lru_cache(maxsize=1024)
def _simulated(correlation: bytes, ratio: float, alpha: float) -> float:
    flat = np.frombuffer(correlation, dtype=np.float64)
    k = round(len(flat) ** 0.5)
    values = flat.reshape(k, k)
    root = np.asarray(np.linalg.cholesky(values + 1e-6 * np.eye(k)), dtype=np.float64)
    rng = np.random.Generator(np.random.PCG64(16))
    z, weights = _draws(values, root, rng)
    errors = np.sqrt(ratio) * rng.standard_normal((REFERENCES, k)) @ root.T
    needed = [_quantile(statistic(z + error), weights, alpha) for error in errors]
    return max(float(np.quantile(needed, WORST_SHARE)), 1e-12)


def _draws(correlation: FloatArray, root: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Draws [n, K] of which one column each strays, and their weights [n].

    What is added to column k moves the others by their correlation with it, so that all but z_k keep their law given
    z_k: the density is that of the null times the mean over k of the ratio of two normal densities of z_k.
    """
    k = len(correlation)
    z = rng.standard_normal((DRAWS, k)) @ root.T
    which = rng.integers(0, k, DRAWS)
    z += STRAYING * rng.standard_normal(DRAWS)[:, None] * correlation[which]
    wide = 1.0 + STRAYING**2
    # The logarithm of the ratio, its largest taken out: far out it would overflow.
    ratios = 0.5 * z**2 * (1.0 - 1.0 / wide) - 0.5 * np.log(wide)
    top = ratios.max(axis=1)
    return z, np.exp(-top) / np.exp(ratios - top[:, None]).mean(axis=1)


def _quantile(values: FloatArray, weights: FloatArray, alpha: float) -> float:
    """The t that a share `alpha` of the null's draws exceeds."""
    order = np.argsort(-values, kind="stable")
    above = np.cumsum(weights[order]) / DRAWS
    return float(values[order[min(int(np.searchsorted(above, alpha)), len(order) - 1)]])
