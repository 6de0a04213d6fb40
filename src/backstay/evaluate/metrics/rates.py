"""Figures of the answers alone: how often they are right, over all and class by class."""

from __future__ import annotations

from backstay.evaluate.case import Case
from backstay.evaluate.metrics import Figure
from backstay.maths import classification


def accuracy(case: Case) -> Figure:
    """Share of rows answered rightly, in [0, 1]. Misleading where classes are very unequal: read recall beside it."""
    rows = classification.correct(case.labels, case.predicted)
    value = classification.accuracy(case.labels, case.predicted)
    return Figure(value, len(case), rows=rows, groups=case.groups, binary=True)


def balanced_accuracy(case: Case) -> Figure:
    """Mean over classes of the share of their rows answered rightly, in [0, 1]."""
    return Figure(
        classification.balanced_accuracy(case.labels, case.predicted, len(case.classes)), len(case)
    )


def precision(case: Case) -> Figure:
    """Of the rows answered with a class the share that was right: of the second class for two, else the mean (macro)."""
    return Figure(classification.macro_precision(case.labels, case.predicted, len(case.classes)), len(case))


def recall(case: Case) -> Figure:
    """Of the rows of a class the share that was found: of the second class for two, else the mean (macro)."""
    return Figure(classification.macro_recall(case.labels, case.predicted, len(case.classes)), len(case))


def f1(case: Case) -> Figure:
    """Harmonic mean of precision and recall: of the second class for two, else the mean over classes (macro)."""
    return Figure(classification.macro_f1(case.labels, case.predicted, len(case.classes)), len(case))
