"""From which score on a label is said: the cut that makes F1 largest on rows that nothing was learned from.

Lipton, Elkan & Naryanaswamy 2014: the best cut is half of the best F1, and seldom 0.5. A cut that was chosen by a
handful of rows is chosen by luck, so that a label with few of them keeps the usual one.
"""

from __future__ import annotations

import numpy as np

from backstay.maths.arrays import BoolArray, FloatArray

USUAL = 0.5
FEWEST = 5
"""Rows with the label, and without it, below which its cut is not chosen."""


def best_f1_thresholds(scores: FloatArray, truth: BoolArray, *, fewest: int = FEWEST) -> FloatArray:
    """A cut for each label [k]: a label is said where its score is at least the cut.

    Args:
        scores: [n, k], in [0, 1]. truth: which labels are there [n, k].

    >>> score = np.array([[0.1], [0.2], [0.3], [0.4]])
    >>> best_f1_thresholds(score, score > 0.15, fewest=1)
    array([0.15])
    """
    cuts = [_best(column, there, fewest) for column, there in zip(scores.T, truth.T, strict=True)]
    return np.array(cuts, dtype=np.float64)


def _best(scores: FloatArray, there: BoolArray, fewest: int) -> float:
    positives = int(there.sum())
    if min(positives, len(there) - positives) < fewest:
        return USUAL
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    said = np.arange(1, len(ranked) + 1)
    f1 = 2.0 * np.cumsum(there[order]) / (said + positives)
    # A cut can only lie between two different scores; below the lowest one the label is said of every row.
    ends = np.flatnonzero(np.append(ranked[:-1] > ranked[1:], True))
    end = int(ends[np.argmax(f1[ends])])
    if end == len(ranked) - 1:
        return float(ranked[-1] / 2.0)
    return float((ranked[end] + ranked[end + 1]) / 2.0)
