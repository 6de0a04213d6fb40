"""Figures of a model that answers numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from backstay.kernel.registry import Shelf

if TYPE_CHECKING:
    from backstay.evaluate.values import ValueCase


class ValueMetric(Protocol):
    """One figure of a case; NaN or infinite where it cannot be computed."""

    def __call__(self, case: ValueCase) -> float: ...


VALUE_METRICS = Shelf(
    "metric of numbers",
    "backstay.value_metrics",
    {
        name: f"backstay.evaluate.metrics.values:{name}"
        for name in ("mae", "rmse", "r2", "median_absolute_error", "skill")
    },
)


def mae(case: ValueCase) -> float:
    """Mean absolute error, in the target's unit; lower is better."""
    return float(case.errors.mean())


def rmse(case: ValueCase) -> float:
    """Square root of the mean squared error, in the target's unit; lower is better. Large errors count most."""
    return float(np.sqrt(np.mean(case.errors**2)))


def median_absolute_error(case: ValueCase) -> float:
    """The error that half of the rows stay below, in the target's unit; lower is better. Huge ones do not show."""
    return float(np.median(case.errors))


def r2(case: ValueCase) -> float:
    """Share of the target's variance that the model explains: 1 is perfect, 0 as good as the mean; may be negative."""
    spread = float(np.mean((case.truth - case.truth.mean()) ** 2))
    return 1.0 - float(np.mean(case.errors**2)) / spread if spread > 0.0 else float("nan")


def skill(case: ValueCase) -> float:
    """Share of the median's absolute error that the model takes away: 1 is perfect, 0 as good as always answering the
    median of these rows; may be negative. It has no unit, so that a margin means the same for every target."""
    return 1.0 - float(case.errors.mean()) / case.deviation if case.deviation > 0.0 else float("nan")
