"""Figures of the answers alone: how often they are right, over all and class by class."""

from __future__ import annotations

import numpy as np

from backstay.evaluate.case import Case
from backstay.evaluate.metrics import Figure
from backstay.maths import classification
from backstay.maths.arrays import BoolArray
from backstay.maths.intervals import Bounds, proportion

EXACT = "Clopper-Pearson"
MOVER = "MOVER"


def accuracy(case: Case) -> Figure:
    """Share of rows answered rightly, in [0, 1]. Misleading where classes are very unequal: read recall beside it.

    For a model that may answer "none of these" that answer is right for a row of a class that it does not know, and
    wrong for every other. For a model that always names a class a row of an unknown class is an error.
    """
    rows = case.right
    value = classification.accuracy(case.labels, case.predicted, declines=case.declines)
    return Figure(value, len(case), rows=rows, groups=case.groups, binary=True)


def balanced_accuracy(case: Case) -> Figure:
    """Mean over classes of the share of their rows answered rightly, in [0, 1]."""
    value = classification.balanced_accuracy(case.labels, case.predicted, len(case.classes), declines=case.declines)
    return Figure(value, len(case), bounds=_recall_bounds(case), method=MOVER)


def precision(case: Case) -> Figure:
    """Of the rows answered with a class the share that was right: the second class for two, else the mean (macro)."""
    value = classification.precision(case.labels, case.predicted, len(case.classes))
    if len(case.classes) == 2:
        answered = case.predicted == 1
        return Figure(value, int(answered.sum()), bounds=_share(case, answered), method=EXACT)
    return Figure(value, len(case), bounds=_precision_bounds(case), method=MOVER)


def recall(case: Case) -> Figure:
    """Of the rows of a class the share that was found: the second class for two, else the mean (macro)."""
    value = classification.recall(case.labels, case.predicted, len(case.classes), declines=case.declines)
    if len(case.classes) == 2:
        there = case.labels == 1
        return Figure(value, int(there.sum()), bounds=_share(case, there), method=EXACT)
    return Figure(value, len(case), bounds=_recall_bounds(case), method=MOVER)


def f1(case: Case) -> Figure:
    """Harmonic mean of precision and recall: of the second class for two, else the mean over classes (macro)."""
    value = classification.f1(case.labels, case.predicted, len(case.classes), declines=case.declines)
    if len(case.classes) != 2:
        return Figure(value, len(case))
    concerned = (case.labels == 1) | (case.predicted == 1)
    overlap = _share(case, concerned)
    # F1 = 2J / (1 + J) of the share J of these rows that are both, so the exact interval of J carries over.
    bounds = None if overlap is None else Bounds(*(2 * j / (1 + j) for j in overlap))
    return Figure(value, int(concerned.sum()), bounds=bounds, method=EXACT)


def _share(case: Case, rows: BoolArray) -> Bounds | None:
    if not rows.any():
        return None
    hits = case.right[rows]
    return proportion(hits, None if case.groups is None else case.groups[rows])


def _recall_bounds(case: Case) -> Bounds | None:
    hits = case.right
    strata = np.maximum(case.labels, -1)
    return classification.class_mean_bounds(hits, strata, case.groups, classification.classes_that_occur(case.labels))


def _precision_bounds(case: Case) -> Bounds | None:
    """Only answers with a class that occurs enter the mean."""
    occur = np.unique(case.labels[case.labels >= 0])
    rows = np.isin(case.predicted, occur)
    hits = case.right[rows]
    groups = None if case.groups is None else case.groups[rows]
    return classification.class_mean_bounds(hits, case.predicted[rows], groups, max(len(occur), 1))
