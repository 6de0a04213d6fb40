"""Figures of a model that may answer "none of these": does it say so where it should, and only there?

They need rows of classes that the model does not know, with labels that say so.
"""

from __future__ import annotations

import numpy as np

from backstay.evaluate.case import Case
from backstay.evaluate.metrics import Figure
from backstay.maths import classification
from backstay.maths.arrays import BoolArray

NAN = float("nan")


def called_none(case: Case) -> Figure:
    """Of the rows of known classes the share that was answered "none of these", in [0, 1]; smaller is better.

    The head's option none_of_these is the share that it was calibrated to; see docs/heads.md.
    """
    return _share(case, case.labels >= 0)


def unknown_recall(case: Case) -> Figure:
    """Of the rows of classes that the model does not know the share that it answered "none of these", in [0, 1]."""
    return _share(case, case.labels == -1)


def unknown_auc(case: Case) -> Figure:
    """Area under the ROC curve of the distance to the nearest example, rows of unknown classes against known ones.

    In [0, 1], 0.5 by chance. It asks how well unknown rows can be told at any limit, whatever limit was set.
    """
    if case.distances is None:
        return Figure(NAN, 0)
    chosen = case.labels >= -1
    unknown = (case.labels[chosen] == -1).astype(np.int64)
    far = case.distances[chosen].astype(np.float64)
    return Figure(classification.auc(unknown, np.column_stack([-far, far])), len(unknown))


def _share(case: Case, rows: BoolArray) -> Figure:
    if not case.declines or not rows.any():
        return Figure(NAN, 0)
    said = np.asarray(case.predicted[rows] == -1, dtype=np.float64)
    groups = None if case.groups is None else case.groups[rows]
    return Figure(float(said.mean()), len(said), rows=said, groups=groups, binary=True)
