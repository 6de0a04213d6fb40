"""The alarm threshold for one fixed reference: alpha on average over references, 1.5 alpha at the 95th percentile.

A family of K tests (Bonferroni: each at alpha) is judged as one: what its user suffers is the sum of K rates, each with
a reference error of its own, and the sum's 95th percentile lies far below the sum of the percentiles. Where the tests
go together, so do their alarms, and the rate of the family is lower still (docs/statistics/drift.md).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import gammainccinv

from backstay.maths.arrays import FloatArray
from backstay.maths.quadratic import quantile, tail
from backstay.maths.spectrum import Spectrum

MINIMUM_WINDOW = 20
REFERENCES = 1000
UNLUCKY = 250
WORST_SHARE = 0.95
# The promise is 1.5; the rest is room for what is approximated: above all skewed features, whose mean and variance err
# together, and 1,000 simulated references. Costs 2% to 4% of the threshold.
WORST_FACTOR = 1.0
# Of a family more room is taken: the skewed errors of tests that go together do not average out as simulated ones do.
WORST_FACTOR_OF_FAMILY = 0.85
# A larger family is held to what one of this size would be: beyond it there is little to gain.
LARGEST_FAMILY = 50


class Threshold(NamedTuple):
    """`value` alarms; `uninflated` would, were the reference exact; `skew` is the correction for few rows, `adverse`
    that for a reference that errs to the side of the skew."""

    value: float
    uninflated: float
    skew: float
    adverse: float
    detectable: float


def find_threshold(
    spectrum: Spectrum, window: float, alpha: float, source: float = np.inf, family: int = 1
) -> Threshold:
    """The threshold for windows of `window` effective rows, one of `family` tests; found once and remembered."""
    return _cached(
        spectrum.weights.tobytes(),
        spectrum.dof.tobytes(),
        spectrum.fixed(source).tobytes(),
        spectrum.lean.tobytes(),
        spectrum.scale_sd,
        spectrum.excess,
        window,
        alpha,
        min(family, LARGEST_FAMILY),
    )


def least_inflation(spectrum: Spectrum, window: float, alpha: float) -> float:
    """What the threshold is raised by at the very least: so that references keep the level on average. Soon found."""
    keep = spectrum.weights > 0
    w, d = spectrum.weights[keep] / window, spectrum.dof[keep]
    return quantile(w + spectrum.errors[keep], d, alpha) / quantile(w, d, alpha)


@lru_cache(maxsize=4096)
def _cached(
    weights: bytes,
    dof: bytes,
    fixed: bytes,
    lean: bytes,
    scale_sd: float,
    excess: tuple[float, float, float, float],
    window: float,
    alpha: float,
    family: int,
) -> Threshold:
    w, d, f, slant = (np.frombuffer(part, dtype=np.float64) for part in (weights, dof, fixed, lean))
    keep = w > 0
    w, d, f, slant = w[keep] / window, d[keep], f[keep], slant[keep]
    skew = _skew_correction(w, d, excess, window, alpha, 0.0)
    # The unlucky twentieth of references is off to the side of the skew: there both corrections are needed.
    adverse = skew * _skew_correction(w, d, excess, window, alpha, 1.65 * float(np.sqrt(f.max())))
    uninflated = quantile(w, d, alpha) * skew
    average = quantile(w + f, d, alpha)
    offsets, scales = _references(d, f, slant, scale_sd)
    value = float(max(average * skew, _for_the_worst(w, d, offsets, scales, alpha, average, family) * adverse))
    return Threshold(value, float(uninflated), float(skew), float(adverse), _detectable(w, w + f, d, value, window))


def _for_the_worst(
    w: FloatArray, d: FloatArray, offsets: FloatArray, scales: FloatArray, alpha: float, start: float, family: int
) -> float:
    """The t at which the 95th percentile over references of the mean of `family` rates of alarm, each given a reference
    error of its own, is `WORST_FACTOR` alpha (`WORST_FACTOR_OF_FAMILY`)."""
    t, goal = start, np.log((WORST_FACTOR if family == 1 else WORST_FACTOR_OF_FAMILY) * alpha)
    together = np.random.Generator(np.random.PCG64(15)).integers(0, REFERENCES, (REFERENCES, family))
    moved = np.multiply(offsets, scales[:, None], out=offsets)
    # The search for each begins at what is found for one of mean error.
    saddle = np.full(REFERENCES, tail(w, d, moved.mean(axis=0, keepdims=True), start).saddle[0])
    share = WORST_SHARE
    for turn in range(12):
        rates, slopes, saddle = tail(w, d, moved, t * scales, saddle)
        slopes = slopes * scales
        if family > 1:
            falls = (rates * slopes)[together].mean(axis=1)
            rates = rates[together].mean(axis=1)
            slopes = falls / np.maximum(rates, 1e-300)
        logs = np.log(np.maximum(rates, 1e-300))
        worst = float(np.quantile(logs, share))
        slope = float(np.median(slopes[np.argsort(np.abs(logs - worst))[:20]]))
        move = (worst - goal) / slope
        t = max(t + float(np.clip(move, -0.5 * t, 2.0 * t)), start * 0.2)
        if abs(move) < 1e-3 * t:
            break
        if turn == 0 and family == 1:
            # Who is among the unlucky quarter does not change with t, and the rest need not be looked at again.
            unlucky = np.argsort(logs)[-UNLUCKY:]
            moved, scales, saddle = moved[unlucky], scales[unlucky], saddle[unlucky]
            share = (WORST_SHARE * (REFERENCES - 1) - (REFERENCES - UNLUCKY)) / (UNLUCKY - 1)
    return t


def _references(d: FloatArray, f: FloatArray, lean: FloatArray, scale_sd: float) -> tuple[FloatArray, FloatArray]:
    """Simulated references: squared errors of their means [1000, k], and estimated over true variance [1000]."""
    rng = np.random.Generator(np.random.PCG64(13))
    errors = rng.standard_normal((REFERENCES, len(d)))
    errors *= np.sqrt(f)
    leaning = errors @ lean
    squares = np.square(errors, out=errors)
    bundled = d > 1.0
    if np.any(bundled):
        squares[:, bundled] = f[bundled] * 2.0 * rng.standard_gamma(d[bundled] / 2.0, (REFERENCES, int(bundled.sum())))
    return squares, np.exp(leaning + scale_sd * rng.standard_normal(REFERENCES))


def _skew_correction(
    w: FloatArray,
    d: FloatArray,
    excess: tuple[float, float, float, float],
    window: float,
    alpha: float,
    off: float,
) -> float:
    """Quantile of T with its true second and third cumulant over the normal one, both as Pearson III laws.

    `off` is how far the reference mean lies from the truth, on the side to which the features are skewed.
    """
    top = float(w.max())
    mean = float(np.sum(d * w)) + off**2
    second = 2.0 * float(np.sum(d * w**2)) + 4.0 * off**2 * top
    third = 8.0 * float(np.sum(d * w**3)) + 24.0 * off**2 * top**2
    more_second = excess[0] / window**3 + 4.0 * off * excess[2] / window**2
    more_third = excess[1] / window**4 + 8.0 * off**3 * excess[3] / window**2
    actual = _pearson(mean, second + more_second, third + more_third, alpha)
    return max(1.0, actual / _pearson(mean, second, third, alpha))


def _pearson(mean: float, second: float, third: float, alpha: float) -> float:
    shape, scale = 4.0 * second**3 / third**2, third / (2.0 * second)
    return mean + scale * (float(gammainccinv(shape, alpha)) - shape)


def _detectable(w: FloatArray, both: FloatArray, d: FloatArray, value: float, window: float) -> float:
    """Shift along the first direction, in row standard deviations, that passes `value` with probability .8."""
    top = int(np.argmax(np.where(d <= 1.0, w, 0.0))) if np.any(d <= 1.0) else int(np.argmax(w))
    lengths = np.sqrt(value) * np.linspace(0.02, 3.0, 150)
    offsets = np.zeros((len(lengths), len(w)))
    offsets[:, top] = lengths**2
    power = np.maximum.accumulate(tail(both, d, offsets, value).probability)
    return float(np.interp(0.8, power, lengths) / np.sqrt(w[top] * window))
