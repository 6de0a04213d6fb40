"""The area under the ROC curve from a few labels and many predictions of them: PPI++ of a two-sample U-statistic.

The area is E[y (1 - y') k] / E[y (1 - y')] over pairs of rows, k = 1 where the score of y lies above that of y', a half
where they are equal. Numerator and denominator are corrected alike: their U-statistics over the labels, less lam times
those of the predicted chances q of the same rows (q (1 - q') in the place of y (1 - y')), plus lam times those of q
over the unlabelled rows. So it is right whatever q is worth. lam is tuned on what each row adds to the area: for labels
the shares of DeLong, DeLong & Clarke-Pearson 1988, for predictions their expectation under q. (Angelopoulos, Duchi &
Zrnic 2023; U-statistics of labelled and unlabelled rows: Kim, Wasserman, Balakrishnan & Neykov 2024.)

The interval is a t interval on the logit of the area, which is what keeps its level near 1; an area at 1, of which no
labelled pair is in the wrong order, gets the exact limit of as many rows as there are of the rarer kind. More classes
than two: the mean of the areas of each against the rest. Needs ten labelled rows of each kind: with fewer neither the
variance nor the order of the pairs is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, stdtrit

from backstay.maths.arrays import AnyArray, FloatArray, IntArray, same_length
from backstay.maths.intervals import Bounds, clopper_pearson
from backstay.maths.ppi import HALF_BELIEVED
from backstay.maths.ppi_metrics import MOST_CLASSES, Answered, PpiMetric
from backstay.maths.ppi_ratio import design_effect

LEAST_OF_A_KIND = 10


def ppi_auc(
    truth: IntArray,
    labelled: Answered,
    pool: Answered,
    classes: int,
    groups: AnyArray | None = None,
    level: float = 0.95,
) -> PpiMetric:
    """The AUC of the rows that `pool` stands for: as `ppi_metrics.ppi_metric`, of rows with scores."""
    same_length(truth, labelled.answers, "labels and answers")
    reasons = _reasons(truth, labelled, classes)
    if reasons or labelled.scores is None:
        return PpiMetric(n=len(truth), reasons=reasons)
    wanted = (1,) if classes == 2 else tuple(range(classes))
    areas = [_area(truth == c, labelled.scores[:, c], labelled, pool, c) for c in wanted]
    value = float(np.clip(np.mean([area.value for area in areas]), 0.0, 1.0))
    errors = np.mean([area.errors for area in areas], axis=0)
    far = [area.pool_errors for area in areas if len(area.pool_errors) > 1]
    # An area that does not trust the predictions has no error of theirs, and still counts in the mean.
    pool_errors = np.sum(far, axis=0) / len(areas) if far else np.zeros(1)
    variance = float(np.var(errors)) * design_effect(errors, groups, level) / len(errors)
    variance += float(np.var(pool_errors)) / len(pool_errors)
    rarer = min(area.rarer for area in areas)
    low, high = _limits(value, variance, rarer, level)
    return PpiMetric(value, low, high, float(np.mean([area.lam for area in areas])), len(truth))


@dataclass(frozen=True, slots=True, eq=False)
class _Area:
    """One area, its trust, and what rows add to it: labelled [n] and, where there is trust, those of the pool [N]."""

    value: float
    lam: float
    errors: FloatArray
    pool_errors: FloatArray
    rarer: int


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Means over pairs of two different rows: of the first above the second, and of such pairs that there are.

    `above` and `below` [n] are, of each row, the share of all rows that are of the second kind and lie below it, and
    of the first kind and lie above it.
    """

    won: float
    there: float
    kind: FloatArray
    above: FloatArray
    below: FloatArray

    def adds(self, area: float) -> FloatArray:
        """What each row adds to the area, times the pairs that there are [n]."""
        first, second = float(self.kind.mean()), float(1.0 - self.kind.mean())
        return np.asarray(self.kind * (self.above - area * second) + (1.0 - self.kind) * (self.below - area * first))


def _pairs(kind: FloatArray, scores: FloatArray) -> _Pairs:
    """Args: `kind` [n] the chance that a row is of the first kind, 0 or 1 where it is known."""
    rows = len(scores)
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    start = np.searchsorted(ordered, scores, "left")
    end = np.searchsorted(ordered, scores, "right")
    first = np.concatenate([[0.0], np.cumsum(kind[order])])
    second = np.concatenate([[0.0], np.cumsum(1.0 - kind[order])])
    above = (second[start] + second[end]) / (2.0 * rows)
    below = (2.0 * first[-1] - first[start] - first[end]) / (2.0 * rows)
    itself = kind * (1.0 - kind)
    pairs = rows * (rows - 1.0)
    won = (float(kind @ above) * rows - 0.5 * float(itself.sum())) / pairs
    there = (float(first[-1]) * float(second[-1]) - float(itself.sum())) / pairs
    return _Pairs(won, there, kind, above, below)


def _area(positive: AnyArray, scores: FloatArray, labelled: Answered, pool: Answered, c: int) -> _Area:
    own = _pairs(positive.astype(np.float64), scores)
    least = int(min(positive.sum(), (~positive).sum()))
    alone = own.won / own.there
    misplaced = least * min(alone, 1.0 - alone)
    believed = misplaced / (misplaced + HALF_BELIEVED)
    if labelled.chances is not None and pool.chances is not None and pool.scores is not None and len(pool):
        near = _pairs(labelled.chances[:, c], scores)
        far = _pairs(pool.chances[:, c], pool.scores[:, c])
        # With few rows in the wrong order part of what predictions seem to bring is luck.
        lam = _trust(own, near, far, alone, believed)
        there = own.there - lam * (near.there - far.there)
        if lam > 0.0 and there > 0.1 * own.there:
            value = (own.won - lam * (near.won - far.won)) / there
            value = float(np.clip(value, 0.0, 1.0))
            errors = _scaled(own.adds(value) - lam * near.adds(value), positive) / own.there
            return _Area(value, lam, errors, lam * far.adds(value) / own.there, least)
    return _Area(alone, 0.0, _scaled(own.adds(alone), positive) / own.there, np.zeros(1), least)


def _trust(own: _Pairs, near: _Pairs, far: _Pairs, area: float, believed: float) -> float:
    adds, guess, pool = own.adds(area), near.adds(area), far.adds(area)
    spread = float(np.var(np.concatenate([guess - guess.mean(), pool - pool.mean()]), ddof=1))
    if spread <= 1e-12:
        return 0.0
    slope = float(np.cov(adds, guess, ddof=1)[0, 1]) / ((1.0 + len(adds) / len(pool)) * spread)
    return float(np.clip(believed * slope, 0.0, 1.0))


def _scaled(errors: FloatArray, positive: AnyArray) -> FloatArray:
    """Errors as of means of so many rows of each kind: enlarged where these are few."""
    found = errors.copy()
    for kind in (positive, ~positive):
        rows = int(kind.sum())
        found[kind] *= np.sqrt(rows / max(rows - 1, 1))
    return found


def _limits(value: float, variance: float, rarer: int, level: float) -> Bounds:
    if variance <= 0.0 or not 0.0 < value < 1.0:
        return clopper_pearson(value * rarer, rarer, level)
    t = float(stdtrit(rarer - 1, 0.5 + level / 2.0))
    half = t * float(np.sqrt(variance)) / (value * (1.0 - value))
    centre = float(logit(value))
    return Bounds(float(expit(centre - half)), float(expit(centre + half)))


def _reasons(truth: IntArray, labelled: Answered, classes: int) -> tuple[str, ...]:
    if labelled.scores is None:
        return ("the model gives no scores to rank by",)
    if classes > MOST_CLASSES:
        return (f"{classes} classes: metrics by class are estimated from labels for at most {MOST_CLASSES}",)
    if classes > 2 and np.any(truth < 0):
        return (f"{int((truth < 0).sum())} labels are of classes that the model does not know",)
    counts = [int((truth == c).sum()) for c in ((1,) if classes == 2 else range(classes))]
    fewest = min(min(count, len(truth) - count) for count in counts)
    if fewest >= LEAST_OF_A_KIND:
        return ()
    return (f"a class has {fewest} labelled rows to rank: at least {LEAST_OF_A_KIND} are needed",)
