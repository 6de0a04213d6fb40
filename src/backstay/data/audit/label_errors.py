"""Rows whose label neither their neighbours nor a held-out classifier believes: a list to look at, never to delete.

Both votes together find more than either (Northcutt, Jiang and Chuang, "Confident learning", 2021, for the margin;
Zhu, Dong and Liu, "Detecting corrupted labels without training a model to predict", 2022, for the neighbours).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.data.audit.matrix import FloatRows, row_matrix
from backstay.data.audit.nearest import nearest, shrink
from backstay.data.audit.subject import Subject
from backstay.kernel.records import Finding, Severity

FitPredict: TypeAlias = Callable[[FloatRows, npt.NDArray[np.int64], FloatRows, int], npt.NDArray[np.float64]]
CHECK = "label_errors"
LARGEST = 6_000
FEWEST = 100
NEIGHBOURS = 10
FOLDS = 3
AGREE = 0.1
MARGIN = -0.35
RIDGE = 1.0


def check(subject: Subject) -> Iterable[Finding]:
    """MEDIUM with the most doubtful rows first; at most 6,000 rows are looked at."""
    total = len(subject.labels)
    if total < FEWEST or not subject.schema.features:
        return
    rows = np.random.default_rng(1).permutation(total)[:LARGEST]
    names, labels = np.unique(subject.labels[rows].astype(str), return_inverse=True)
    if len(names) < 2:
        return
    (x,) = row_matrix([subject.table.take(pa.array(rows))], subject.schema)
    agree, margin = doubts(x, labels.astype(np.int64), len(names))
    doubtful = np.flatnonzero((agree <= AGREE) & (margin <= MARGIN))
    if len(doubtful):
        order = doubtful[np.lexsort((margin[doubtful], agree[doubtful]))]
        yield subject.finding(
            CHECK,
            Severity.MEDIUM,
            f"{len(order)} of {len(rows)} rows looked at have a label that neither their neighbours nor a held-out "
            "classifier believes",
            "look at the rows listed first; correct what is wrong, and keep what is only rare",
            rows[order],
            columns=(str(subject.schema.target),),
        )


def doubts(
    x: FloatRows, labels: npt.NDArray[np.int64], classes: int, fit: FitPredict | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of each row: the share of its 10 neighbours with its label, and its out-of-fold margin (own - best other).

    Args:
        fit: trains on the first two and answers scores [n, classes] for the third; `ridge_scores` if not given.
    """
    fit = fit or ridge_scores
    (small,) = shrink([x])
    _, places = nearest(small, small, NEIGHBOURS, itself=True)
    agree = (labels[places] == labels[:, None]).mean(axis=1)
    margin = np.empty(len(x))
    fold = np.arange(len(x)) % FOLDS
    for part in range(FOLDS):
        test = np.flatnonzero(fold == part)
        scores = np.array(fit(x[fold != part], labels[fold != part], x[test], classes), dtype=np.float64)
        own = scores[np.arange(len(test)), labels[test]].copy()
        scores[np.arange(len(test)), labels[test]] = -np.inf
        margin[test] = own - scores.max(axis=1)
    return agree, margin


def ridge_scores(x: FloatRows, y: npt.NDArray[np.int64], test: FloatRows, classes: int) -> npt.NDArray[np.float64]:
    """Least squares on one indicator a class, ridge 1: quick, and its scores are near to probabilities."""
    centre = x.mean(axis=0)
    design = np.column_stack([np.ones(len(x)), x - centre]).astype(np.float64)
    gram = design.T @ design + RIDGE * np.eye(design.shape[1])
    weights = np.linalg.solve(gram, design.T @ np.eye(classes)[y])
    return np.column_stack([np.ones(len(test)), test - centre]).astype(np.float64) @ weights
