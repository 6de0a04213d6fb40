"""Two models on the same rows: differences with intervals and one-sided tests, over all rows and slice by slice."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from backstay.evaluate.case import Case
from backstay.evaluate.slices import slice_rows
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Comparison, Interval
from backstay.maths.arrays import AnyArray, FloatArray, IntArray
from backstay.maths.classification import log_losses
from backstay.maths.paired import paired_difference

METRICS = ("accuracy", "log_loss")
NAN = float("nan")


def compare(
    challenger: Case, baseline: Case, *, against: str, data_id: str, slices: Mapping[str, AnyArray]
) -> tuple[Comparison, ...]:
    """Challenger minus baseline, so that positive is better (log loss is turned round).

    Each is judged by its own classes: a row of a class that only the challenger knows is an error of the baseline.
    "None of these" is right only for rows of classes that neither knows: a model gains nothing by knowing less.
    Where a score of either is no probability, the comparison of log loss is NaN, which a gate refuses. A slice of
    fewer than two rows is NaN as well.

    Raises BackstayError when the two were not measured on the same rows.
    """
    if not _same_rows(challenger, baseline):
        raise BackstayError("the two models were not measured on the same rows", fix="measure both on one table")
    parts: list[tuple[str, AnyArray]] = [("", np.arange(len(challenger))), *slice_rows(slices, len(challenger))]
    found: list[Comparison] = []
    for metric in METRICS:
        ours, theirs = _scores(metric, challenger, baseline), _scores(metric, baseline, challenger)
        if ours is None or theirs is None:
            continue
        for part, rows in parts:
            groups = None if challenger.groups is None else challenger.groups[rows]
            found.append(compare_by_row(metric, ours[rows], theirs[rows], groups, against, data_id, part))
    return tuple(found)


def _same_rows(first: Case, second: Case) -> bool:
    """Same length and, where both know the true class, the same one by name."""
    if len(first) != len(second):
        return False
    both = (first.labels >= 0) & (second.labels >= 0)
    return bool(np.array_equal(_names(first)[both], _names(second)[both]))


def _names(case: Case) -> AnyArray:
    """True class names, since two models may number their classes differently."""
    return np.array([*case.classes, ""], dtype=object)[case.labels]


def _scores(metric: str, case: Case, other: Case) -> FloatArray | None:
    if metric == "accuracy":
        return np.where((case.labels < 0) & (other.labels >= 0), 0.0, case.right)
    return None if case.scores is None else -log_losses(case.labels, case.scores.astype(np.float64))


def compare_by_row(
    metric: str, ours: FloatArray, theirs: FloatArray, groups: IntArray | None, against: str, data_id: str, part: str
) -> Comparison:
    """Ours minus theirs, of what each row [n] adds to a figure; NaN, which a gate refuses, where one is not finite, or
    of fewer than two rows."""
    if len(ours) < 2 or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return Comparison(metric, against, NAN, None, NAN, NAN, NAN, len(ours), data_id, part)
    d = paired_difference(theirs, ours, groups)
    return Comparison(
        metric=metric,
        against=against,
        difference=d.mean,
        interval=Interval(d.low, d.high, 0.95, "paired"),
        one_sided_low=d.one_sided_low,
        p_better=d.p_better,
        p_worse=d.p_worse,
        n=d.n,
        data_id=data_id,
        slice=part,
    )
