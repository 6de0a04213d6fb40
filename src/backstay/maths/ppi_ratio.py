"""Recall, precision, F1 and other shares of a share from a few labels and many predictions of them: PPI++ of a ratio.

Each is p = E[part] / E[whole], both 0 or 1 in every row, the part within the whole (recall: found, of those that are to
be found; F1 = 2p / (1 + p) of the right ones among all rows that concern the class). p is where the mean of
part - p whole is 0, and that mean is prediction-powered (Angelopoulos, Duchi & Zrnic 2023, their form for estimating
equations): one trust lam for part and whole, tuned on what a row adds to p. As in `ppi` the gain becomes an effective
number of labels, shrunk by how few of the rarer outcome it was learnt from, and the interval is the exact one for that
number. Given the rows of the whole, the part among them is binomial, so that without predictions it is exact.

A mean over classes puts the limits of the classes together with the correlation of their errors (MOVER with
correlations: Zou 2007; Zou & Donner 2008), so that a class without a mistake still counts with what it may hide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, FloatArray, fraction, same_length
from backstay.maths.clusters import clusters, mean_variance
from backstay.maths.intervals import Bounds, clopper_pearson
from backstay.maths.ppi import HALF_BELIEVED


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """What rows [n] count for: `part` of `whole`. Of labelled rows 0 or 1, of predictions the chance of it."""

    part: FloatArray
    whole: FloatArray

    def __len__(self) -> int:
        return len(self.part)

    @property
    def means(self) -> tuple[float, float]:
        return float(self.part.mean()), float(self.whole.mean())

    def adds(self, ratio: float, whole: float) -> FloatArray:
        """What each row adds to the ratio [n], of mean 0 where `ratio` is that of these rows."""
        return (self.part - ratio * self.whole) / whole


@dataclass(frozen=True, slots=True, eq=False)
class Foreseen:
    """Predictions of the same counts, for the labelled rows [n] and for unlabelled ones [N]."""

    labelled: Counted
    pool: Counted


@dataclass(frozen=True, slots=True, eq=False)
class PpiRatio:
    """A ratio in [`low`, `high`], its trust in predictions, and the labels of the whole that it is worth.

    `errors` [n] and `pool_errors` [N] are what rows add to it: the variance of the estimate is var(errors) / n +
    var(pool_errors) / N.
    """

    estimate: float
    low: float
    high: float
    lam: float
    n: int
    n_effective: float
    errors: FloatArray
    pool_errors: FloatArray


def ppi_ratio(
    labelled: Counted, foreseen: Foreseen | None, groups: AnyArray | None = None, level: float = 0.95
) -> PpiRatio:
    """The ratio of means over the rows that the pool stands for; of the labelled rows alone without predictions.

    Args: `labelled` rows were drawn at random from the same traffic; `groups` [n] mark dependent ones among them.
    Raises BackstayError where no labelled row is of the whole.

    >>> right, answered = np.repeat([1.0, 0.0], [18, 82]), np.repeat([1.0, 0.0], [20, 80])
    >>> found = ppi_ratio(Counted(right, answered), None)
    >>> [round(x, 3) for x in (found.estimate, found.low, found.high)]
    [0.9, 0.683, 0.988]
    """
    fraction(level, "the level")
    part, whole = labelled.means
    if whole <= 0.0:
        raise BackstayError("no labelled row is of the kind asked about", fix="label more rows")
    believed = _believed(labelled)
    ratio, lam = part / whole, 0.0
    if foreseen is not None:
        same_length(labelled.part, foreseen.labelled.part, "labels and predictions of them")
        lam = _trust(labelled, foreseen, ratio, whole, believed)
        ratio, lam = _corrected(labelled, foreseen, ratio, lam)
    alone = labelled.adds(ratio, whole)
    errors, pool_errors, gain = alone, np.zeros(1), 0.0
    if foreseen is not None and lam > 0.0:
        errors = alone - lam * foreseen.labelled.adds(ratio, whole)
        pool_errors = lam * foreseen.pool.adds(ratio, whole)
        gain = believed * _gain(alone, errors, pool_errors)
    worth = float(labelled.whole.sum()) / (1.0 - gain) / design_effect(errors, groups, level)
    low, high = clopper_pearson(ratio * worth, worth, level)
    return PpiRatio(ratio, low, high, lam, len(labelled), worth, errors, pool_errors)


def mean_of(ratios: tuple[PpiRatio, ...], values: FloatArray, limits: tuple[Bounds, ...]) -> Bounds:
    """Limits of the mean of `values` [k], each a rising function of its ratio, from the `limits` of each."""
    share = 1.0 / len(values)
    together = _correlations(ratios)
    below = share * (values - np.asarray([limit.low for limit in limits]))
    above = share * (np.asarray([limit.high for limit in limits]) - values)
    down, up = (float(np.sqrt(max(side @ together @ side, 0.0))) for side in (below, above))
    centre = float(values.mean())
    return Bounds(max(centre - down, 0.0), min(centre + up, 1.0))


def design_effect(errors: FloatArray, groups: AnyArray | None, level: float = 0.95) -> float:
    """By what the variance of a mean of `errors` [n] is larger for rows that share groups, at least 1.

    Enlarged once more for the few degrees of freedom behind it, as Korn & Graubard 1998.
    """
    if groups is None:
        return 1.0
    grouping, rows = clusters(groups, len(errors)), len(errors)
    if grouping.count == rows:
        return 1.0
    spread = float(np.var(errors)) / rows
    if grouping.count < 2 or spread <= 0.0:
        return rows / grouping.count
    effect = max(mean_variance(errors, grouping) / spread, 1.0)
    tail = 0.5 + level / 2.0
    return float(effect * (stdtrit(grouping.count - 1, tail) / ndtri(tail)) ** 2)


def _believed(labelled: Counted) -> float:
    part, whole = float(labelled.part.sum()), float(labelled.whole.sum())
    rarer = min(part, whole - part)
    return rarer / (rarer + HALF_BELIEVED)


def _trust(labelled: Counted, foreseen: Foreseen, ratio: float, whole: float, believed: float) -> float:
    """The trust that makes the variance least, of a slope that is believed in part: 0 to 1."""
    own, guess = labelled.adds(ratio, whole), foreseen.labelled.adds(ratio, whole)
    pool = foreseen.pool.adds(ratio, whole)
    spread = float(np.var(np.concatenate([guess, pool]), ddof=1))
    if spread <= 1e-12:
        return 0.0
    slope = float(np.cov(own, guess, ddof=1)[0, 1]) / ((1.0 + len(own) / len(pool)) * spread)
    return float(np.clip(believed * slope, 0.0, 1.0))


def _corrected(labelled: Counted, foreseen: Foreseen, alone: float, lam: float) -> tuple[float, float]:
    """The ratio with part and whole corrected by the predictions, and the trust; that of labels where it fails."""
    (part, whole), (near, near_whole), (far, far_whole) = (
        rows.means for rows in (labelled, foreseen.labelled, foreseen.pool)
    )
    above, below = part - lam * (near - far), whole - lam * (near_whole - far_whole)
    if below <= 0.1 * whole:
        return alone, 0.0
    return float(np.clip(above / below, 0.0, 1.0)), lam


def _gain(alone: FloatArray, errors: FloatArray, pool_errors: FloatArray) -> float:
    before = float(np.var(alone, ddof=1)) / len(alone)
    if before <= 0.0:
        return 0.0
    after = float(np.var(errors, ddof=1)) / len(errors) + float(np.var(pool_errors)) / len(pool_errors)
    return float(np.clip(1.0 - after / before, 0.0, 0.95))


def _correlations(ratios: tuple[PpiRatio, ...]) -> FloatArray:
    """Of the errors of the estimates [k, k]; 0 with one that shows no error."""
    near, far = (np.stack(rows) for rows in zip(*((r.errors, _as_long(r, ratios)) for r in ratios), strict=True))
    covariance = np.atleast_2d(np.cov(near)) / near.shape[1] + np.atleast_2d(np.cov(far, ddof=0)) / far.shape[1]
    deviation = np.sqrt(np.diag(covariance))
    scale = np.where(deviation > 0.0, deviation, np.inf)
    found = covariance / np.outer(scale, scale)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)


def _as_long(ratio: PpiRatio, ratios: tuple[PpiRatio, ...]) -> FloatArray:
    """Its errors on the pool, of the length that the others have: one without trust has none."""
    size = max(len(other.pool_errors) for other in ratios)
    return ratio.pool_errors if len(ratio.pool_errors) == size else np.zeros(size)
