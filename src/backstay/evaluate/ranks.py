"""Models that say how strange a row is: how well they rank the anomalies before the normal rows, on the same rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from backstay.evaluate.case import Case
from backstay.evaluate.runner import measure
from backstay.kernel.records import Comparison, Interval, Measurement
from backstay.maths.areas import paired_areas
from backstay.maths.arrays import AnyArray, BoolArray, FloatArray, IntArray
from backstay.maths.neighbours import nearest

METRIC = "auc"
FEWEST = 10
"""Rows of either kind from which on two models are compared: fewer do not bound an area."""
NAN = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Rows [n]: which are anomalies, how strange each is said to be, and codes of rows that depend on each other."""

    anomalous: BoolArray
    strangeness: FloatArray
    groups: IntArray | None

    @property
    def enough(self) -> bool:
        """There are rows enough of either kind."""
        return min(int(self.anomalous.sum()), int((~self.anomalous).sum())) >= FEWEST

    def said(self, strangeness: FloatArray) -> Ranking:
        """What others say of the same rows."""
        return replace(self, strangeness=strangeness)


def compare_ranks(ours: Ranking, theirs: FloatArray, *, against: str, data_id: str) -> Comparison:
    """The area under the ROC curve of ours minus theirs; NaN, which a gate refuses, where one kind has too few rows."""
    n = len(ours.anomalous)
    if not (ours.enough and np.isfinite(ours.strangeness).all() and np.isfinite(theirs).all()):
        return Comparison(METRIC, against, NAN, None, NAN, NAN, NAN, n, data_id)
    d = paired_areas(ours.anomalous, theirs, ours.strangeness, ours.groups)
    interval = Interval(d.low, d.high, 0.95, "DeLong")
    return Comparison(METRIC, against, d.mean, interval, d.one_sided_low, d.p_better, d.p_worse, d.n, data_id)


def measure_ranks(ranking: Ranking, *, of: str, data_id: str) -> tuple[Measurement, ...]:
    """The area under the ROC curve of others than the candidate, with its interval."""
    labels = ranking.anomalous.astype(np.int64)
    scores = np.column_stack([-ranking.strangeness, ranking.strangeness])
    case = Case(labels, labels, scores, None, ranking.groups, ("normal", "anomalous"))
    return measure(case, data_id=data_id, slices={}, metrics=(METRIC,), of=of)


def raw_distance(
    gallery: AnyArray, queries: AnyArray, *, k: int, apart: tuple[AnyArray, AnyArray] | None = None
) -> FloatArray:
    """Mean Euclidean distance [m] of raw rows to the k nearest normal ones: what needs no training at all.

    Args:
        gallery: normal rows [n, d]. apart: group codes of gallery and queries; a row's own group is no neighbour.
    """
    _, distances = nearest(gallery, queries, k, apart=apart)
    known = np.isfinite(distances)
    total = np.where(known, distances, 0.0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.inf)
