"""Two models on the same rows: differences with intervals and one-sided tests, over all rows and slice by slice."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from backstay.evaluate.case import Case
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Comparison, Interval
from backstay.maths.arrays import AnyArray, FloatArray
from backstay.maths.classification import correct, log_losses
from backstay.maths.paired import paired_difference

METRICS = ("accuracy", "log_loss")


def compare(
    challenger: Case, baseline: Case, *, against: str, data_id: str, slices: Mapping[str, AnyArray]
) -> tuple[Comparison, ...]:
    """Challenger minus baseline, so that positive is better (log loss is turned round).

    Raises BackstayError when the two were not measured on the same rows.
    """
    if len(challenger) != len(baseline) or not np.array_equal(
        _names(challenger), _names(baseline)
    ):
        raise BackstayError("the two models were not measured on the same rows", fix="measure both on one table")
    found: list[Comparison] = []
    for metric in METRICS:
        ours, theirs = _scores(metric, challenger), _scores(metric, baseline)
        if ours is None or theirs is None:
            continue
        found.append(_comparison(metric, ours, theirs, challenger.groups, against, data_id, ""))
        for column, values in slices.items():
            for value in sorted({str(v) for v in values}):
                rows = np.asarray([str(v) == value for v in values])
                groups = None if challenger.groups is None else challenger.groups[rows]
                found.append(
                    _comparison(metric, ours[rows], theirs[rows], groups, against, data_id, f"{column}={value}")
                )
    return tuple(found)


def _names(case: Case) -> AnyArray:
    """True class names, since two models may number their classes differently."""
    known = np.array([*case.classes, ""], dtype=object)
    return known[case.labels] if case.classes == () or len(case) else known[:0]


def _scores(metric: str, case: Case) -> FloatArray | None:
    if metric == "accuracy":
        return correct(case.labels, case.predicted)
    return None if case.scores is None else -log_losses(case.labels, case.scores.astype(np.float64))


def _comparison(
    metric: str, ours: FloatArray, theirs: FloatArray, groups: AnyArray | None, against: str, data_id: str, part: str
) -> Comparison:
    if len(ours) < 2:
        nan = float("nan")
        return Comparison(metric, against, nan, None, nan, nan, nan, len(ours), data_id, part)
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
