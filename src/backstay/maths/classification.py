"""Figures of a classifier's answers. What cannot be computed is NaN, never a made-up number.

Labels and predictions are class positions [n]; -1 stands for "none of the known classes". It never counts as right,
unless the model itself says "none of these" (`declines`): then a row of an unknown class that it answers so is right.
With two classes precision, recall and F1 are those of the second, the positive one; with more they are plain means
over the classes that occur among the labels (macro). Rows of unknown classes together count as one class more, whose
recall is 0 for a model that always names a class. A label of -2 is not known at all and right for nobody.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from scipy.special import stdtrit

from backstay.maths.arrays import AnyArray, BoolArray, FloatArray, IntArray
from backstay.maths.clusters import clusters, mean_variance
from backstay.maths.intervals import Bounds, proportion

NAN = float("nan")
FLOOR = 1e-15
# What a label that is null is as text.
UNLABELLED = "missing"
# Scores from files are often rounded; beyond this they are no probabilities.
SUM_TOLERANCE = 0.02
EDGE_TOLERANCE = 1e-5


def correct(labels: IntArray, predicted: IntArray, *, declines: bool = False) -> FloatArray:
    """1 where the answer is right, else 0 [n]."""
    return np.asarray((labels == predicted) & (labels >= (-1 if declines else 0)), dtype=np.float64)


def declined(answer: str, true: str, classes: Collection[str], none_label: str) -> bool:
    """Whether this answer says, rightly, that the row is of none of the classes.

    >>> [declined("none", true, ("a", "b"), "none") for true in ("a", "c", "missing")]
    [False, True, False]
    """
    return bool(none_label) and answer == none_label and true not in classes and true != UNLABELLED


def accuracy(labels: IntArray, predicted: IntArray, *, declines: bool = False) -> float:
    """Share of right answers.

    >>> labels, predicted = np.array([0, 1, 1, -1]), np.array([0, 1, 0, -1])
    >>> accuracy(labels, predicted), accuracy(labels, predicted, declines=True)
    (0.5, 0.75)
    """
    return float(correct(labels, predicted, declines=declines).mean()) if len(labels) else NAN


def recalls(labels: IntArray, predicted: IntArray, classes: int) -> FloatArray:
    """Of the rows of each class the share that was found [classes]; NaN for a class without rows."""
    return _shares(_right(labels, predicted, classes), _count(labels, classes))


def precisions(labels: IntArray, predicted: IntArray, classes: int) -> FloatArray:
    """Of the rows answered with each class the share that was right [classes]; NaN for a class never answered."""
    return _shares(_right(labels, predicted, classes), _count(predicted, classes))


def f1_scores(labels: IntArray, predicted: IntArray, classes: int) -> FloatArray:
    """2 right / (rows + answers) of each class [classes]; NaN for a class that neither occurs nor was answered."""
    return _shares(2 * _right(labels, predicted, classes), _count(labels, classes) + _count(predicted, classes))


def balanced_accuracy(labels: IntArray, predicted: IntArray, classes: int, *, declines: bool = False) -> float:
    """Mean recall over the classes that occur."""
    unknown = _unknown_recall(labels, predicted) if declines else 0.0
    return _mean_over_classes(recalls(labels, predicted, classes), labels, classes, unknown)


def recall(labels: IntArray, predicted: IntArray, classes: int, *, declines: bool = False) -> float:
    """Recall of the positive class for two classes, mean over the classes that occur for more."""
    if classes == 2:
        return float(recalls(labels, predicted, classes)[1])
    return balanced_accuracy(labels, predicted, classes, declines=declines)


def precision(labels: IntArray, predicted: IntArray, classes: int) -> float:
    """Precision of the positive class for two classes, mean over the classes that occur for more.

    NaN when the only class that is asked about was never answered; in a mean such a class counts 0, as a model must
    not gain by never answering a hard class.
    """
    per_class = precisions(labels, predicted, classes)
    if classes == 2:
        return float(per_class[1])
    occur = _count(labels, classes) > 0
    return float(np.nan_to_num(per_class[occur], nan=0.0).mean()) if occur.any() else NAN


def f1(labels: IntArray, predicted: IntArray, classes: int, *, declines: bool = False) -> float:
    """F1 of the positive class for two classes, mean over the classes that occur for more."""
    per_class = f1_scores(labels, predicted, classes)
    if classes == 2:
        return float(per_class[1])
    unknown, answered = labels < 0, predicted < 0
    concerned = int(unknown.sum() + answered.sum())
    found = 2.0 * float(correct(labels, predicted, declines=True)[unknown].sum())
    return _mean_over_classes(per_class, labels, classes, found / concerned if declines and concerned else 0.0)


def class_mean_bounds(
    hits: FloatArray, strata: IntArray, groups: AnyArray | None, over: int, level: float = 0.95
) -> Bounds | None:
    """Interval for the mean over classes of a share: recall (`strata` true classes) or precision (answered ones).

    Exact intervals of the classes are combined by MOVER (Zou & Donner 2008), so that a perfect score on few rows is
    not reported as certain. With groups the interval is at least as wide as the cluster-robust one of the linearised
    mean, since one group may bring rows of several classes. None with fewer than two groups.

    Args:
        hits: 0/1 [n]; strata: class of each row [n]; over: number of classes that the mean is taken over.
    """
    if len(hits) == 0 or (groups is not None and len(np.unique(groups)) < 2):
        return None
    value = below = above = 0.0
    residual = np.empty(len(hits))
    for stratum in np.unique(strata):
        rows = strata == stratum
        share = float(hits[rows].mean())
        low, high = proportion(hits[rows], None if groups is None else groups[rows], level)
        value += share / over
        below += ((share - low) / over) ** 2
        above += ((high - share) / over) ** 2
        residual[rows] = (hits[rows] - share) * len(hits) / (over * int(rows.sum()))
    half = 0.0
    if groups is not None:
        grouping = clusters(groups, len(hits))
        half = float(stdtrit(grouping.count - 1, 0.5 + level / 2) * np.sqrt(mean_variance(residual, grouping)))
    return Bounds(max(0.0, value - max(below**0.5, half)), min(1.0, value + max(above**0.5, half)))


def auc(labels: IntArray, scores: FloatArray) -> float:
    """Area under the ROC curve, ties counted half (Mann-Whitney); the mean over one-against-rest for more classes.

    Classes without rows, or with all rows, are left out of the mean. NaN unless at least two classes occur, and
    where any score is not finite.

    >>> auc(np.array([0, 0, 1, 1]), np.array([[.9, .1], [.6, .4], [.65, .35], [.2, .8]]))
    0.75
    """
    if not np.isfinite(scores).all():
        return NAN
    classes = scores.shape[1]
    areas = [_area(labels == c, scores[:, c]) for c in ((1,) if classes == 2 else range(classes))]
    known = [a for a in areas if not np.isnan(a)]
    return float(np.mean(known)) if known else NAN


def _area(positive: BoolArray, score: FloatArray) -> float:
    above, below = score[positive], np.sort(score[~positive])
    if len(above) == 0 or len(below) == 0:
        return NAN
    won = np.searchsorted(below, above, side="left").sum() + np.searchsorted(below, above, side="right").sum()
    return float(won / (2.0 * len(above) * len(below)))


def log_losses(labels: IntArray, scores: FloatArray) -> FloatArray:
    """Negative logarithm of the probability given to the true class [n], floored at 1e-15.

    NaN for a row whose scores are no probabilities: a model must not gain by scores that add up to more than 1.
    """
    given = np.where(labels >= 0, scores[np.arange(len(labels)), np.maximum(labels, 0)], 0.0)
    losses = -np.log(np.clip(given, FLOOR, 1.0))
    return np.where(proper(scores), losses, NAN)


def proper(scores: FloatArray) -> BoolArray:
    """Which rows of `scores` [n, k] are probabilities: within 0 and 1, adding up to 1 within 0.02."""
    with np.errstate(invalid="ignore"):
        inside = ((scores >= -EDGE_TOLERANCE) & (scores <= 1.0 + EDGE_TOLERANCE)).all(axis=1)
        return np.asarray(inside & (np.abs(scores.sum(axis=1) - 1.0) <= SUM_TOLERANCE))


def confidence(predicted: IntArray, scores: FloatArray) -> FloatArray:
    """The probability given to the answer [n], in [0, 1]; the highest one where the answer is no known class."""
    own = scores[np.arange(len(predicted)), np.maximum(predicted, 0)]
    return np.clip(np.where(predicted >= 0, own, scores.max(axis=1)), 0.0, 1.0)


def _right(labels: IntArray, predicted: IntArray, classes: int) -> IntArray:
    return _count(labels[labels == predicted], classes)


def _count(positions: IntArray, classes: int) -> IntArray:
    return np.bincount(positions[positions >= 0], minlength=classes)


def _shares(part: IntArray, whole: IntArray) -> FloatArray:
    return np.where(whole > 0, part / np.maximum(whole, 1), NAN)


def _unknown_recall(labels: IntArray, predicted: IntArray) -> float:
    """Of the rows of unknown classes the share that was answered so; 0 where there are none."""
    unknown = labels < 0
    return float(correct(labels, predicted, declines=True)[unknown].mean()) if unknown.any() else 0.0


def _mean_over_classes(per_class: FloatArray, labels: IntArray, classes: int, unknown: float = 0.0) -> float:
    """`unknown` is the figure of the rows of unknown classes, where they occur."""
    occur = _count(labels, classes) > 0
    over = classes_that_occur(labels)
    extra = unknown if bool((labels < 0).any()) else 0.0
    return float((per_class[occur].sum() + extra) / over) if over else NAN


def classes_that_occur(labels: IntArray) -> int:
    """Distinct classes among the labels, all unknown ones together being one."""
    return len(np.unique(np.maximum(labels, -1)))
