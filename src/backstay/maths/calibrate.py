"""Make scores mean what they say, and measure how far they are from it.

Platt's map for two classes, temperature (and a bias by class) for more: smooth maps need far fewer labels
than binning (docs/statistics/estimates.md: below about 5,000). The error reported is the debiased root mean square one:
the plug-in expected calibration error of a perfectly calibrated model on 100 rows reads .13.
Sources: Platt 1999; Guo et al. 2017; Kumar, Liang & Ma 2019 (debiased estimate).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, log_softmax, logit, softmax

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, IntArray, indicators, matrix, same_length, vector
from backstay.maths.logistic import newton


@dataclass(frozen=True, slots=True)
class Platt:
    """P(y = 1) = sigmoid(slope * logit + intercept)."""

    slope: float
    intercept: float

    @staticmethod
    def fit(logits: FloatArray, labels: FloatArray) -> Platt:
        """Fit on logits [n] and labels 0/1 [n], with Platt's smoothed targets (never a certain 0 or 1)."""
        z, y = vector(logits, "logits"), indicators(labels, "labels")
        same_length(z, y, "logits and labels")
        positive, negative = float(y.sum()), float(len(y) - y.sum())
        targets = np.where(y > 0, (positive + 1) / (positive + 2), 1 / (negative + 2))
        beta = newton(np.column_stack([np.ones(len(z)), z]), targets, np.ones(len(z)), 1e-6)
        return Platt(float(beta[1]), float(beta[0]))

    def apply(self, logits: FloatArray) -> FloatArray:
        """Calibrated probabilities of class 1 [n]."""
        return np.asarray(expit(self.slope * np.asarray(logits, dtype=np.float64) + self.intercept))

    def to_json(self) -> dict[str, Any]:
        return {"slope": self.slope, "intercept": self.intercept}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Platt:
        return Platt(float(state["slope"]), float(state["intercept"]))


@dataclass(frozen=True, slots=True)
class Temperature:
    """p = softmax(logits / temperature + bias); log-probabilities serve as logits. `bias` is zero unless asked for."""

    temperature: float
    bias: tuple[float, ...]

    @staticmethod
    def fit(logits: FloatArray, labels: IntArray, bias: bool = False) -> Temperature:
        """Fit on logits [n, k] and class codes [n] by log loss; `bias` adds an offset by class, lightly penalised.

        Targets are smoothed as by Platt: of n rows that all are right the next one is with a chance of
        (n + 1) / (n + 2), not for certain.
        """
        from scipy.optimize import minimize  # slow to import, and serving needs only `apply`

        z, codes = matrix(logits, "logits"), np.asarray(labels).astype(np.int64)
        same_length(z, codes, "logits and labels")
        n, k = z.shape
        if k < 2 or codes.min() < 0 or codes.max() >= k:
            raise BackstayError("class codes outside the columns of the logits", fix="give one logit for each class")
        right = (n + 1) / (n + 2)
        targets = np.where(np.eye(k)[codes] > 0, right, (1.0 - right) / (k - 1))

        def objective(parameters: FloatArray) -> tuple[float, FloatArray]:
            inverse, offset = float(np.exp(parameters[0])), parameters[1:] if bias else np.zeros(k)
            log_p = log_softmax(z * inverse + offset, axis=1)
            residual = (np.exp(log_p) - targets) / n
            gradient = np.concatenate([[inverse * np.sum(residual * z)], residual.sum(axis=0) + offset / n])
            loss = -float(np.mean(np.sum(targets * log_p, axis=1))) + 0.5 * float(np.sum(offset**2)) / n
            return loss, gradient if bias else gradient[:1]

        bounds = [(-5.0, 5.0), *[(None, None)] * (k if bias else 0)]
        found = minimize(objective, np.zeros(len(bounds)), jac=True, method="L-BFGS-B", bounds=bounds)
        offset = found.x[1:] if bias else np.zeros(k)
        return Temperature(float(np.exp(-found.x[0])), tuple(map(float, offset)))

    def apply(self, logits: FloatArray) -> FloatArray:
        """Calibrated probabilities [n, k]."""
        return np.asarray(softmax(matrix(logits, "logits") / self.temperature + np.asarray(self.bias), axis=1))

    def to_json(self) -> dict[str, Any]:
        return {"temperature": self.temperature, "bias": list(self.bias)}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Temperature:
        return Temperature(float(state["temperature"]), tuple(float(b) for b in state["bias"]))


def safe_logit(probability: FloatArray) -> FloatArray:
    """log(p / (1 - p)) with p kept one millionth away from 0 and 1."""
    return np.asarray(logit(np.clip(probability, 1e-6, 1.0 - 1e-6)))


class CalibrationError(NamedTuple):
    """Root mean square distance of confidence from accuracy, with its interval.

    `squared` is the unbiased estimate of the square, which may be below 0 when the model is calibrated; the
    others are clipped at 0.
    """

    error: float
    low: float
    high: float
    squared: float


def debiased_calibration_error(
    confidence: FloatArray,
    correct: FloatArray,
    bins: int = 15,
    level: float = 0.95,
    rng: np.random.Generator | None = None,
    draws: int = 400,
) -> CalibrationError:
    """Debiased calibration error of confidences [n] in [0, 1] against correctness 0/1 [n].

    Cells of equal counts; in each the squared gap of accuracy and confidence, minus the variance that chance
    alone gives it. Interval by bootstrap of rows, re-centred, since resampling adds that variance once more.
    `rng` defaults to a fixed seed.
    """
    c, y = vector(confidence, "confidences"), indicators(correct, "correctness")
    same_length(c, y, "confidences and correctness")
    if np.any((c < 0) | (c > 1)) or len(c) < 4:
        raise BackstayError("too few rows, or confidences outside 0 to 1", fix="give 4 probabilities or more")
    order = np.argsort(c, kind="stable")
    cells = min(bins, len(c) // 2)
    place = (np.arange(len(c)) * cells) // len(c)
    gap = (y - c)[order]
    plug_in, squared = _squared_gaps(gap, place, cells, np.ones((1, len(gap))))
    generator = np.random.Generator(np.random.PCG64(5)) if rng is None else rng
    counts = generator.multinomial(len(gap), np.full(len(gap), 1.0 / len(gap)), size=draws).astype(np.float64)
    _, drawn = _squared_gaps(gap, place, cells, counts)
    centred = drawn - float(plug_in[0] - squared[0])
    low, high = np.quantile(centred, [(1 - level) / 2, (1 + level) / 2])
    value = float(squared[0])
    low, high = min(float(low), value), max(float(high), value)
    return CalibrationError(_root(value), _root(low), _root(high), value)


def _squared_gaps(gap: FloatArray, place: IntArray, cells: int, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Plug-in and debiased mean squared gap, for each row of resampling `counts` [draws, n]."""
    starts = np.searchsorted(place, np.arange(cells))
    n = np.add.reduceat(counts, starts, axis=1)
    total = np.add.reduceat(counts * gap, starts, axis=1)
    squares = np.add.reduceat(counts * gap**2, starts, axis=1)
    mean = total / np.maximum(n, 1.0)
    variance = np.maximum(squares - n * mean**2, 0.0) / np.maximum(n - 1.0, 1.0)
    share = n / n.sum(axis=1, keepdims=True)
    plug_in = np.sum(share * mean**2, axis=1)
    return plug_in, plug_in - np.sum(share * variance / np.maximum(n, 1.0), axis=1)


def _root(value: float) -> float:
    return float(np.sqrt(max(value, 0.0)))
