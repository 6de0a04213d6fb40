"""Intervals for a proportion, a mean and any statistic, for independent rows and for groups of rows.

Sources: Clopper & Pearson 1934; Wilson 1927; Korn & Graubard 1998 (effective n with a t correction);
Robbins 1970 (the beta-binomial confidence sequence); Efron 1987 (the bias-corrected bootstrap).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import betainc, betaincinv, betaln, ndtr, ndtri, stdtrit, xlog1py, xlogy

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, FloatArray, fraction, same_length, vector
from backstay.maths.clusters import Clusters, clusters, effective_size, mean_variance


class Bounds(NamedTuple):
    """A closed interval."""

    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low


def clopper_pearson(successes: float, n: float, level: float = 0.95) -> Bounds:
    """Exact interval for a proportion; `successes` and `n` may be effective, non-integer counts.

    >>> low, high = clopper_pearson(0, 10)
    >>> low, round(high, 4)
    (0.0, 0.3085)
    """
    _check_counts(successes, n)
    tail = (1.0 - fraction(level, "the level")) / 2.0
    low = 0.0 if successes <= 0 else float(betaincinv(successes, n - successes + 1.0, tail))
    high = 1.0 if successes >= n else float(betaincinv(successes + 1.0, n - successes, 1.0 - tail))
    return Bounds(low, high)


def upper_limit(successes: float, n: float, delta: float) -> float:
    """One-sided exact upper bound: the true proportion exceeds it with probability at most `delta`."""
    _check_counts(successes, n)
    if successes >= n:
        return 1.0
    return float(betaincinv(successes + 1.0, n - successes, 1.0 - fraction(delta, "delta")))


def proportion(successes: FloatArray, groups: AnyArray | None = None, level: float = 0.95) -> Bounds:
    """Interval for the mean of 0/1 values [n], exact on the effective number of independent rows.

    Without groups this is Clopper-Pearson. With groups, n is replaced by the cluster-robust effective n,
    reduced once more for the few degrees of freedom behind it (Korn-Graubard).
    """
    hits = vector(successes, "successes")
    if np.any((hits < 0) | (hits > 1)):
        raise BackstayError("successes lie outside 0 to 1", fix="give 1 for a success and 0 for a failure")
    size = proportion_effective_n(hits, groups, level)
    return clopper_pearson(float(hits.mean()) * size, size, level)


def proportion_effective_n(successes: FloatArray, groups: AnyArray | None, level: float = 0.95) -> float:
    """The effective n that `proportion` uses: n itself for independent rows."""
    if groups is None:
        return float(len(successes))
    grouping = clusters(groups, len(successes))
    size = effective_size(successes, grouping)
    if grouping.count < 2 or size >= len(successes) or np.ptp(successes) == 0.0:
        return size
    tail = 0.5 + level / 2.0
    ratio = float(ndtri(tail) / stdtrit(grouping.count - 1, tail))
    return max(1.0, size * ratio * ratio)


def bernoulli_sequence(successes: float, n: float, alpha: float = 0.05) -> Bounds:
    """Confidence sequence for a proportion: right at every n at once with probability 1 - alpha.

    Robbins' beta-binomial mixture with a uniform prior: all p whose log Bayes factor against the mixture
    stays below log(1/alpha). About 1.9 times as wide as a Wald interval at n = 1,000.
    """
    _check_counts(successes, n)
    limit = np.log(1.0 / fraction(alpha, "alpha"))
    fails = n - successes
    mixture = float(betaln(successes + 1.0, fails + 1.0))
    centre = successes / n

    def excess(p: float) -> float:
        return mixture - float(xlogy(successes, p)) - float(xlog1py(fails, -p)) - float(limit)

    low = 0.0 if successes == 0 else _crossing(excess, 0.0, centre)
    high = 1.0 if fails == 0 else _crossing(excess, 1.0, centre)
    return Bounds(low, high)


def mean_interval(values: FloatArray, groups: AnyArray | None = None, level: float = 0.95) -> Bounds:
    """Student's t interval for a mean; with groups the variance is cluster-robust and df = groups - 1."""
    numbers = vector(values, "values")
    grouping = clusters(groups, len(numbers))
    if grouping.count < 2:
        raise BackstayError("one independent row has no interval", fix="give two rows (or groups) or more")
    half = float(stdtrit(grouping.count - 1, 0.5 + fraction(level, "the level") / 2.0))
    half *= float(np.sqrt(mean_variance(numbers, grouping)))
    centre = float(numbers.mean())
    return Bounds(centre - half, centre + half)


def bootstrap(
    statistic: Callable[..., float],
    arrays: Sequence[AnyArray],
    rng: np.random.Generator,
    groups: AnyArray | None = None,
    draws: int = 400,
    level: float = 0.95,
) -> Bounds:
    """Bias-corrected percentile interval of `statistic(*arrays)`, rows (or whole groups) drawn again.

    `statistic` takes the arrays, all resampled by the same rows, and returns one number. A draw for which
    it is not finite (a class went missing) is left out; more than half of such draws is an error.
    """
    rows = len(arrays[0])
    for array in arrays[1:]:
        same_length(arrays[0], array, "the arrays to resample")
    resample = _resampler(clusters(groups, rows), rng)
    observed = float(statistic(*arrays))
    replicates = np.empty(draws)
    for draw in range(draws):
        chosen = resample()
        replicates[draw] = float(statistic(*(array[chosen] for array in arrays)))
    kept = replicates[np.isfinite(replicates)]
    if 2 * len(kept) < draws or not np.isfinite(observed):
        raise BackstayError(
            f"the statistic is undefined in {draws - len(kept)} of {draws} resamples",
            fix="give more rows, or rows of every class",
        )
    return bias_corrected(kept, observed, level)


def bias_corrected(replicates: FloatArray, observed: float, level: float = 0.95) -> Bounds:
    """Efron's bias-corrected percentiles of bootstrap `replicates`; always holds `observed`."""
    below = (np.sum(replicates < observed) + 0.5 * np.sum(replicates == observed)) / len(replicates)
    shift = float(ndtri(np.clip(below, 0.02, 0.98)))
    z = float(ndtri(0.5 + fraction(level, "the level") / 2.0))
    low, high = np.quantile(replicates, [ndtr(2 * shift - z), ndtr(2 * shift + z)])
    return Bounds(min(float(low), observed), max(float(high), observed))


def _resampler(grouping: Clusters, rng: np.random.Generator) -> Callable[[], AnyArray]:
    rows = len(grouping.codes)
    if grouping.count == rows:
        return lambda: rng.integers(0, rows, rows)
    order = np.argsort(grouping.codes, kind="stable")
    members = np.split(order, np.cumsum(grouping.sizes)[:-1].astype(np.int64))

    def draw() -> AnyArray:
        return np.concatenate([members[g] for g in rng.integers(0, grouping.count, grouping.count)])

    return draw


def _crossing(excess: Callable[[float], float], outside: float, inside: float) -> float:
    """Bisect to where `excess` changes sign between a rejected and an accepted point."""
    for _ in range(60):
        middle = (outside + inside) / 2.0
        if excess(middle) > 0.0:
            outside = middle
        else:
            inside = middle
    return outside


def _check_counts(successes: float, n: float) -> None:
    if not (n > 0 and -1e-9 <= successes <= n * (1 + 1e-9)):
        raise BackstayError(f"{successes!r} successes of {n!r}", fix="give 0 <= successes <= n with n above 0")


def exact_tail(successes: float, n: float, share: float) -> float:
    """P(Binomial(n, share) >= successes), for effective counts too.

    >>> round(exact_tail(5, 5, 0.5), 5)
    0.03125
    """
    return 1.0 if successes <= 0 else float(betainc(successes, n - successes + 1.0, share))
