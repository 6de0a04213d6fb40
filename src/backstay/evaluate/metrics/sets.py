"""Figures of a model that answers sets of labels. `weights` [n] count each row, which is how the bootstrap draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from backstay.kernel.registry import Shelf
from backstay.maths.arrays import FloatArray

if TYPE_CHECKING:
    from backstay.evaluate.sets import SetCase


class SetMetric(Protocol):
    """One figure of a case with its rows counted so many times; NaN where it cannot be computed."""

    def __call__(self, case: SetCase, weights: FloatArray) -> float: ...


SET_METRICS = Shelf(
    "multi-label metric",
    "backstay.set_metrics",
    {
        name: f"backstay.evaluate.metrics.sets:{name}"
        for name in (
            "micro_f1",
            "macro_f1",
            "mean_average_precision",
            "subset_accuracy",
            "jaccard",
            "hamming_loss",
        )
    },
)


def micro_f1(case: SetCase, weights: FloatArray) -> float:
    """F1 of all answered labels together, in [0, 1]: twice those that are right over those answered and those true.
    Common labels rule it. NaN where no label is answered and none is true."""
    total = float(weights @ (case.said + case.true))
    return 2.0 * float(weights @ case.right) / total if total > 0.0 else float("nan")


def macro_f1(case: SetCase, weights: FloatArray) -> float:
    """Mean over labels of each one's F1, in [0, 1]: rare labels count as much as common ones. A label that is neither
    answered nor true in any row is left out; one that is answered and never true has 0."""
    total = weights @ case.predicted + weights @ case.truth
    hits = weights @ (case.predicted & case.truth)
    seen = total > 0.0
    return float(np.mean(2.0 * hits[seen] / total[seen])) if seen.any() else float("nan")


def mean_average_precision(case: SetCase, weights: FloatArray) -> float:
    """Mean over labels of average precision, in [0, 1]: how far up rows with the label stand when all rows are ordered
    by its chance, whatever its cut. A label that no row has is left out. Rows of equal chance count as one step."""
    if case.ranking is None:
        return float("nan")
    ranked, ends = case.ranking
    counts = weights[ranked]
    there = np.take_along_axis(case.truth, ranked, axis=0) * counts
    above = np.cumsum(counts, axis=0)
    precision = np.cumsum(there, axis=0) / np.maximum(above, 1e-300)
    positives = there.sum(axis=0)
    seen = positives > 0.0
    found = (there * np.take_along_axis(precision, ends, axis=0)).sum(axis=0)
    return float(np.mean(found[seen] / positives[seen])) if seen.any() else float("nan")


def subset_accuracy(case: SetCase, weights: FloatArray) -> float:
    """Share of rows whose set is answered label for label, in [0, 1]: strict, and the one that `watch` counts."""
    return _mean(case.exact, weights)


def jaccard(case: SetCase, weights: FloatArray) -> float:
    """Mean over rows of the labels that are both answered and true, as a share of those that are either, in [0, 1];
    1 where both sets are empty (Godbole & Sarawagi 2004). The usual policy reads it."""
    return _mean(case.overlap, weights)


def hamming_loss(case: SetCase, weights: FloatArray) -> float:
    """Share of wrong decisions over all rows and labels, in [0, 1]; lower is better. With many labels and small sets an
    empty answer has nearly none: read it beside F1."""
    return _mean(case.wrong, weights)


def _mean(values: FloatArray, weights: FloatArray) -> float:
    total = float(weights.sum())
    return float(weights @ values) / total if total > 0.0 else float("nan")
