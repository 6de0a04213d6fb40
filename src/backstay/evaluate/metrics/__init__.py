"""The shelf of metrics. A metric is a function `measure(case) -> Figure`: NaN where it cannot be computed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from backstay.evaluate.case import Case
from backstay.kernel.registry import Shelf
from backstay.maths.arrays import FloatArray, IntArray
from backstay.maths.intervals import Bounds


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A metric's value.

    Args:
        n: rows (or queries) that the value is made of.
        bounds: 95% interval where the metric has its own, made by `method`; otherwise it is made from `rows`, or by
            bootstrap unless `resample` is False.
        rows: per-row contributions whose mean is the value, where the metric is a mean; `groups` belong to them.
        binary: the contributions are 0 and 1.
        limits: the least and the largest value that the figure can take, which its interval keeps to.
    """

    value: float
    n: int
    bounds: Bounds | None = None
    rows: FloatArray | None = None
    groups: IntArray | None = None
    binary: bool = False
    method: str = "bootstrap"
    resample: bool = True
    limits: tuple[float, float] = (-math.inf, math.inf)


class Metric(Protocol):
    """One metric of the shelf."""

    def __call__(self, case: Case) -> Figure: ...


METRICS = Shelf(
    "metric",
    "backstay.metrics",
    {
        "accuracy": "backstay.evaluate.metrics.rates:accuracy",
        "balanced_accuracy": "backstay.evaluate.metrics.rates:balanced_accuracy",
        "precision": "backstay.evaluate.metrics.rates:precision",
        "recall": "backstay.evaluate.metrics.rates:recall",
        "f1": "backstay.evaluate.metrics.rates:f1",
        "auc": "backstay.evaluate.metrics.scores:auc",
        "log_loss": "backstay.evaluate.metrics.scores:log_loss",
        "calibration_error": "backstay.evaluate.metrics.scores:calibration_error",
        "recall_at_1": "backstay.evaluate.metrics.embeddings:recall_at_1",
        "map_at_r": "backstay.evaluate.metrics.embeddings:map_at_r",
        "silhouette": "backstay.evaluate.metrics.embeddings:silhouette",
        "called_none": "backstay.evaluate.metrics.unknown:called_none",
        "unknown_recall": "backstay.evaluate.metrics.unknown:unknown_recall",
        "unknown_auc": "backstay.evaluate.metrics.unknown:unknown_auc",
    },
)
