"""Figures of a classifier's answers. What cannot be computed is NaN, never a made-up number.

Labels and predictions are class positions [n]; -1 stands for "none of the known classes" and never counts as right.
Macro figures are plain means over the classes that occur among the labels.
"""

from __future__ import annotations

import numpy as np
from backstay.maths.arrays import BoolArray, FloatArray, IntArray

NAN = float("nan")
FLOOR = 1e-15


def correct(labels: IntArray, predicted: IntArray) -> FloatArray:
    """1 where the answer is right, else 0 [n]."""
    return np.asarray((labels == predicted) & (labels >= 0), dtype=np.float64)


def accuracy(labels: IntArray, predicted: IntArray) -> float:
    """Share of right answers.

    >>> accuracy(np.array([0, 1, 1, -1]), np.array([0, 1, 0, -1]))
    0.5
    """
    return float(correct(labels, predicted).mean()) if len(labels) else NAN


def recalls(labels: IntArray, predicted: IntArray, classes: int) -> FloatArray:
    """Of the rows of each class the share that was found [classes]; NaN for a class without rows."""
    found = np.bincount(labels[(labels == predicted) & (labels >= 0)], minlength=classes)[:classes]
    there = np.bincount(labels[labels >= 0], minlength=classes)[:classes]
    return np.where(there > 0, found / np.maximum(there, 1), NAN)


def precisions(labels: IntArray, predicted: IntArray, classes: int) -> FloatArray:
    """Of the rows answered with each class the share that was right [classes]; NaN for a class never answered."""
    found = np.bincount(labels[(labels == predicted) & (labels >= 0)], minlength=classes)[:classes]
    said = np.bincount(predicted[predicted >= 0], minlength=classes)[:classes]
    return np.where(said > 0, found / np.maximum(said, 1), NAN)


def macro_recall(labels: IntArray, predicted: IntArray, classes: int) -> float:
    """Mean recall over the classes that occur; with two classes that of the second, the positive one."""
    return _macro(recalls(labels, predicted, classes), labels, classes)


def macro_precision(labels: IntArray, predicted: IntArray, classes: int) -> float:
    """Mean precision over the classes that occur (0 for one that was never answered); of the positive one for two."""
    return _macro(np.nan_to_num(precisions(labels, predicted, classes), nan=0.0), labels, classes)


def macro_f1(labels: IntArray, predicted: IntArray, classes: int) -> float:
    """Mean over classes of the harmonic mean of precision and recall; of the positive one for two classes."""
    p = np.nan_to_num(precisions(labels, predicted, classes), nan=0.0)
    r = recalls(labels, predicted, classes)
    with np.errstate(invalid="ignore"):
        harmonic = np.where(p + r > 0, 2 * p * r / np.maximum(p + r, FLOOR), 0.0)
    return _macro(np.where(np.isnan(r), NAN, harmonic), labels, classes)


def balanced_accuracy(labels: IntArray, predicted: IntArray, classes: int) -> float:
    """Mean recall over the classes that occur (both of them when there are two)."""
    per_class = recalls(labels, predicted, classes)
    there = ~np.isnan(per_class)
    return float(per_class[there].mean()) if there.any() else NAN


def _macro(per_class: FloatArray, labels: IntArray, classes: int) -> float:
    there = np.bincount(labels[labels >= 0], minlength=classes)[:classes] > 0
    if classes == 2:
        return float(per_class[1]) if there[1] else NAN
    return float(per_class[there].mean()) if there.any() else NAN


def auc(labels: IntArray, scores: FloatArray) -> float:
    """Area under the ROC curve, ties counted half (Mann-Whitney); the mean over one-against-rest for more classes.

    NaN unless at least two classes occur.

    >>> auc(np.array([0, 0, 1, 1]), np.array([[.9, .1], [.6, .4], [.65, .35], [.2, .8]]))
    0.75
    """
    classes = scores.shape[1]
    areas = [_area(labels == c, scores[:, c]) for c in ((1,) if classes == 2 else range(classes))]
    known = [a for a in areas if not np.isnan(a)]
    return float(np.mean(known)) if known else NAN


def _area(positive: BoolArray, score: FloatArray) -> float:
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if n_positive == 0 or n_negative == 0:
        return NAN
    ranks = _mean_ranks(score)
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def _mean_ranks(values: FloatArray) -> FloatArray:
    """Ranks from 1, ties sharing the mean of theirs (scipy.stats has this too, for a second of imports)."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[place.reshape(-1)])


def log_losses(labels: IntArray, scores: FloatArray) -> FloatArray:
    """Negative logarithm of the probability given to the true class [n]; probabilities are floored at 1e-15."""
    given = np.where(labels >= 0, scores[np.arange(len(labels)), np.maximum(labels, 0)], 0.0)
    return np.asarray(-np.log(np.clip(given, FLOOR, 1.0)))


def confidence(scores: FloatArray) -> FloatArray:
    """The highest probability of each row [n]."""
    return np.asarray(scores.max(axis=1))
