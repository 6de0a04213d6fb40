"""Two models on the same rows: the mean difference, its interval, and how sure we are of its sign.

Scores are per row and higher is better; the difference is b minus a. For 0/1 scores (correct or wrong)
only rows on which the models disagree carry information, and there may be three of them: the interval is
Tango's score interval (Statistics in Medicine 1998), never inside the MOVER interval built from exact
limits of the two kinds of disagreement, and the sign test is McNemar's exact one. For real scores it is
a t interval. Groups of dependent rows make both cluster-robust.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, FloatArray, fraction, same_length, vector
from backstay.maths.clusters import Clusters, clusters, effective_size, mean_variance
from backstay.maths.intervals import clopper_pearson, exact_tail


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Mean of b - a over the same rows.

    `low` and `high` bound it on both sides at the level asked; `one_sided_low` is a lower bound that
    fails with probability 1 - level, `one_sided_high` an upper one. `p_better` is the p-value against
    "b is no better than a" (small: b is better), `p_worse` the one against "b is no worse".
    `one_sided_low` > 0 implies `p_better` <= 1 - level, and likewise for worse.
    """

    mean: float
    low: float
    high: float
    one_sided_low: float
    one_sided_high: float
    se: float
    n: int
    n_effective: float
    p_worse: float
    p_better: float


def paired_difference(
    a: FloatArray, b: FloatArray, groups: AnyArray | None = None, level: float = 0.95
) -> PairedDifference:
    """Compare per-row scores `a` and `b` [n] of two models on the same rows.

    >>> a = np.array([1.0] * 90 + [0.0] * 10); b = np.array([1.0] * 98 + [0.0] * 2)
    >>> d = paired_difference(a, b)
    >>> round(d.mean, 2), round(d.p_better, 4), d.one_sided_low > 0
    (0.08, 0.0039, True)
    """
    first, second = vector(a, "scores of the first model"), vector(b, "scores of the second model")
    same_length(first, second, "the scores of the two models")
    if len(first) < 2:
        raise BackstayError("a paired comparison of 1 row", fix="give two rows or more")
    fraction(level, "the level")
    difference = second - first
    grouping = clusters(groups, len(difference))
    if np.all(np.isin(first, (0.0, 1.0))) and np.all(np.isin(second, (0.0, 1.0))):
        return _binary(difference, grouping, level)
    return t_difference(difference, grouping, level, grouping.count - 1)


def t_difference(difference: FloatArray, grouping: Clusters, level: float, df: int) -> PairedDifference:
    """The mean of values [n] by row with its cluster-robust t interval, of `df` degrees of freedom (1 at least)."""
    mean, se = float(difference.mean()), float(np.sqrt(mean_variance(difference, grouping)))
    df = max(df, 1)
    two, one = float(stdtrit(df, 0.5 + level / 2)), float(stdtrit(df, level))
    p_better = _t_tail(mean, se, df)
    if grouping.count < 2:  # one group has no error of its own: nothing can be shown
        se, two, one, p_better = float("inf"), 1.0, 1.0, 0.5
    return PairedDifference(
        mean=mean,
        low=mean - two * se,
        high=mean + two * se,
        one_sided_low=mean - one * se,
        one_sided_high=mean + one * se,
        se=se,
        n=len(difference),
        n_effective=effective_size(difference, grouping),
        p_worse=1.0 - p_better,
        p_better=p_better,
    )


def _t_tail(mean: float, se: float, df: int) -> float:
    """P(T >= mean / se) under no difference; a constant difference of zero shows nothing."""
    if se > 0.0:
        return float(stdtr(df, -mean / se))
    return 0.5 if mean == 0.0 else float(mean < 0.0)


def _binary(difference: FloatArray, grouping: Clusters, level: float) -> PairedDifference:
    n = len(difference)
    size = effective_size(difference, grouping)
    scale = size / n
    gains, losses = float(np.sum(difference > 0)) * scale, float(np.sum(difference < 0)) * scale
    p_better = exact_tail(gains, gains + losses, 0.5)
    p_worse = exact_tail(losses, gains + losses, 0.5)
    one, two = level, 0.5 + level / 2
    low, high = _lower(gains, losses, size, two), -_lower(losses, gains, size, two)
    one_low, one_high = _lower(gains, losses, size, one), -_lower(losses, gains, size, one)
    mean = float(difference.mean())
    if grouping.count < n:
        real = t_difference(difference, grouping, level, grouping.count - 1)
        low, high = min(low, real.low), max(high, real.high)
        one_low, one_high = min(one_low, real.one_sided_low), max(one_high, real.one_sided_high)
        p_better, p_worse = max(p_better, real.p_better), max(p_worse, real.p_worse)
    if p_better > 1 - level:
        one_low, low = min(one_low, 0.0), min(low, 0.0)
    if p_worse > 1 - level:
        one_high, high = max(one_high, 0.0), max(high, 0.0)
    return PairedDifference(
        mean=mean,
        low=max(low, -1.0),
        high=min(high, 1.0),
        one_sided_low=max(one_low, -1.0),
        one_sided_high=min(one_high, 1.0),
        se=float(np.sqrt(max(gains + losses - (gains - losses) ** 2 / size, 0.0)) / size),
        n=n,
        n_effective=size,
        p_worse=p_worse,
        p_better=p_better,
    )


def _lower(gains: float, losses: float, n: float, confidence: float) -> float:
    """Lower bound of (gains - losses) / n that fails with probability 1 - confidence."""
    return min(_tango_lower(gains, losses, n, confidence), _mover_lower(gains, losses, n, confidence))


def _mover_lower(gains: float, losses: float, n: float, confidence: float) -> float:
    two_sided = 2 * confidence - 1
    up, down = gains / n, losses / n
    below = up - clopper_pearson(gains, n, two_sided).low
    above = clopper_pearson(losses, n, two_sided).high - down
    return up - down - float(np.hypot(below, above))


def _tango_lower(gains: float, losses: float, n: float, confidence: float) -> float:
    z = float(ndtri(confidence))
    low, high = -1.0 + 1e-12, (gains - losses) / n
    for _ in range(50):
        middle = (low + high) / 2
        if _tango_score(gains, losses, n, middle) > z:
            low = middle
        else:
            high = middle
    return low


def _tango_score(gains: float, losses: float, n: float, delta: float) -> float:
    """Score statistic of 'the difference is delta', with the nuisance share at its constrained maximum."""
    b = -gains - losses + (2 * n - gains + losses) * delta
    c = -losses * delta * (1 - delta)
    share = (np.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    variance = n * (2 * share + delta * (1 - delta))
    excess = gains - losses - n * delta
    if variance <= 0.0:
        return 0.0 if excess == 0.0 else float(np.copysign(np.inf, excess))
    return float(excess / np.sqrt(variance))
