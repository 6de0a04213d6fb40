"""Numbers as answers: figures with intervals, and two models on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from backstay.evaluate.metrics.values import VALUE_METRICS, ValueMetric
from backstay.evaluate.paired import compare_by_row
from backstay.evaluate.slices import slice_rows
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Comparison, Interval, Measurement
from backstay.maths.arrays import AnyArray, FloatArray, IntArray
from backstay.maths.clusters import clusters
from backstay.maths.intervals import bias_corrected

USUAL = ("mae", "rmse", "r2", "median_absolute_error", "skill")
SLICED = ("mae", "skill")
COMPARED = ("mae", "skill")
DRAWS = 400
MOST_ROWS = 5000
LEVEL = 0.95
NAN = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class ValueCase:
    """Rows [n]: true numbers, the model's, and codes of rows that depend on each other.

    Args:
        deviation: mean absolute deviation of all true numbers from their median: what `skill` is a share of, in a
            slice too.
    """

    truth: FloatArray
    predicted: FloatArray
    groups: IntArray | None
    deviation: float

    @classmethod
    def of(cls, truth: FloatArray, predicted: FloatArray, groups: IntArray | None) -> ValueCase:
        """Raises BackstayError where lengths differ or a true number is not finite."""
        if len(truth) != len(predicted):
            raise BackstayError(f"{len(truth)} true numbers and {len(predicted)} answers", fix="give one a row")
        if not np.isfinite(truth).all():
            raise BackstayError("a true number is missing or not finite", fix="leave those rows out")
        deviation = float(np.mean(np.abs(truth - np.median(truth)))) if len(truth) else NAN
        return cls(truth, predicted, groups, deviation)

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def errors(self) -> FloatArray:
        """Absolute errors [n]; infinite where the model answered no finite number, so that no figure is one."""
        gaps = np.abs(self.predicted - self.truth)
        return np.where(np.isfinite(gaps), gaps, np.inf)

    def take(self, chosen: AnyArray) -> ValueCase:
        """These rows, judged by the deviation of all."""
        groups = None if self.groups is None else self.groups[chosen]
        return ValueCase(self.truth[chosen], self.predicted[chosen], groups, self.deviation)


def measure_values(
    case: ValueCase,
    *,
    data_id: str,
    slices: Mapping[str, AnyArray],
    metrics: Sequence[str] | None = None,
    of: str = "model",
    seed: int = 0,
) -> tuple[Measurement, ...]:
    """Figures of a case with 95% bootstrap intervals (bias-corrected percentiles over groups, or rows).

    Where an answer is not finite, or there are fewer than two groups, a figure has no interval, and a gate refuses it.
    """
    wanted = USUAL if metrics is None else tuple(metrics)
    found = [_measurement(name, case, data_id, "", of, seed) for name in wanted]
    for part, rows in slice_rows(slices, len(case)):
        cut = case.take(rows)
        found += [_measurement(name, cut, data_id, part, of, seed) for name in SLICED if name in wanted]
    return tuple(found)


def _measurement(name: str, case: ValueCase, data_id: str, part: str, of: str, seed: int) -> Measurement:
    metric: ValueMetric = VALUE_METRICS[name]
    value = metric(case) if len(case) else NAN
    interval = _bootstrap(metric, value, case, seed) if np.isfinite(value) else None
    return Measurement(name, value if np.isfinite(value) else NAN, interval, len(case), data_id, part, of)


def _bootstrap(metric: ValueMetric, value: float, case: ValueCase, seed: int) -> Interval | None:
    grouping = clusters(case.groups, len(case))
    if grouping.count < 2:
        return None
    rng = np.random.default_rng(seed)
    order = np.argsort(grouping.codes, kind="stable")
    members = np.split(order, np.cumsum(grouping.sizes)[:-1].astype(np.int64)) if grouping.count < len(case) else None
    most = max(1, min(grouping.count, int(grouping.count * MOST_ROWS / len(case))))
    # Draws of fewer rows than there are spread wider by a known factor.
    shrink = float(np.sqrt(most / grouping.count))
    found = []
    for _ in range(DRAWS):
        drawn = rng.integers(0, grouping.count, most)
        rows = order[drawn] if members is None else np.concatenate([members[g] for g in drawn])
        figure = metric(case.take(rows))
        if np.isfinite(figure):
            found.append(value + (figure - value) * shrink)
    if len(found) < DRAWS // 2:
        return None
    if np.ptp(found) == 0.0:
        return Interval(value, value, LEVEL, "bootstrap")
    bounds = bias_corrected(np.array(found), value)
    return Interval(bounds.low, bounds.high, LEVEL, "bootstrap")


def compare_values(
    challenger: ValueCase, baseline: ValueCase, *, against: str, data_id: str, slices: Mapping[str, AnyArray]
) -> tuple[Comparison, ...]:
    """Baseline's absolute error minus the challenger's, so that positive is better: `mae` in the target's unit, and
    `skill` as a share of the median's error.

    A t interval over rows or groups: it assumes that the mean of the differences is nearly normal, which a few huge
    errors among few rows upset. Raises BackstayError when the two were not measured on the same rows.
    """
    if not np.array_equal(challenger.truth, baseline.truth):
        raise BackstayError("the two models were not measured on the same rows", fix="measure both on one table")
    parts: list[tuple[str, AnyArray]] = [("", np.arange(len(challenger))), *slice_rows(slices, len(challenger))]
    ours, theirs = -challenger.errors, -baseline.errors
    found: list[Comparison] = []
    for metric in COMPARED:
        unit = 1.0 if metric == "mae" else challenger.deviation
        unit = unit if 0.0 < unit < np.inf else NAN
        for part, rows in parts:
            groups = None if challenger.groups is None else challenger.groups[rows]
            mine, others = ours[rows] / unit, theirs[rows] / unit
            found.append(compare_by_row(metric, mine, others, groups, against, data_id, part))
    return tuple(found)
