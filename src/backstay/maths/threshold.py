"""The alarm threshold for one fixed reference: alpha on average over references, 1.5 alpha at the 95th percentile."""

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
WORST_SHARE = 0.95
# The promise is 1.5; the rest is room for what is approximated: above all skewed features, whose mean and variance err
# together, and 1,000 simulated references. Costs 2% to 4% of the threshold.
WORST_FACTOR = 1.0


class Threshold(NamedTuple):
    """`value` alarms; `uninflated` would, were the reference exact; `skew` is the correction for few rows."""

    value: float
    uninflated: float
    skew: float
    detectable: float


def find_threshold(spectrum: Spectrum, window: float, alpha: float, source: float = np.inf) -> Threshold:
    """The threshold for windows of `window` effective rows; found once and remembered."""
    return _cached(
        spectrum.weights.tobytes(),
        spectrum.dof.tobytes(),
        spectrum.fixed(source).tobytes(),
        spectrum.lean.tobytes(),
        spectrum.scale_sd,
        spectrum.excess,
        window,
        alpha,
    )


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
    value = float(max(average * skew, _for_the_worst(w, d, offsets, scales, alpha, average) * adverse))
    return Threshold(value, float(uninflated), float(skew), _detectable(w, w + f, d, value, window))


def _for_the_worst(
    w: FloatArray, d: FloatArray, offsets: FloatArray, scales: FloatArray, alpha: float, start: float
) -> float:
    """The t at which the 95th percentile over references of P(alarm given the reference) is `WORST_FACTOR` alpha."""
    t, goal = start, np.log(WORST_FACTOR * alpha)
    for _ in range(12):
        rates, slopes = tail(w, d, offsets * scales[:, None], t * scales)
        logs = np.log(np.maximum(rates, 1e-300))
        worst = float(np.quantile(logs, WORST_SHARE))
        slope = float(np.median((slopes * scales)[np.argsort(np.abs(logs - worst))[:20]]))
        move = (worst - goal) / slope
        t = max(t + float(np.clip(move, -0.5 * t, 2.0 * t)), start * 0.2)
        if abs(move) < 1e-3 * t:
            break
    return t


def _references(d: FloatArray, f: FloatArray, lean: FloatArray, scale_sd: float) -> tuple[FloatArray, FloatArray]:
    """Simulated references: squared errors of their means [1000, k], and estimated over true variance [1000]."""
    rng = np.random.Generator(np.random.PCG64(13))
    errors = rng.standard_normal((REFERENCES, len(d))) * np.sqrt(f)
    squares = errors**2
    bundled = d > 1.0
    if np.any(bundled):
        squares[:, bundled] = f[bundled] * 2.0 * rng.standard_gamma(d[bundled] / 2.0, (REFERENCES, int(bundled.sum())))
    return squares, np.exp(errors @ lean + scale_sd * rng.standard_normal(REFERENCES))


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
