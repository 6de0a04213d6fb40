"""Measure a case: every metric with an interval, over all rows and slice by slice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from backstay.evaluate.case import Case
from backstay.evaluate.metrics import METRICS, Figure, Metric
from backstay.evaluate.slices import slice_rows
from backstay.kernel.records import Interval, Measurement
from backstay.maths.arrays import AnyArray
from backstay.maths.clusters import clusters
from backstay.maths.intervals import Bounds, bias_corrected, clopper_pearson, mean_interval, proportion

USUAL = (
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "auc",
    "log_loss",
    "calibration_error",
    "recall_at_1",
    "map_at_r",
    "silhouette",
)
# Of models that may answer "none of these" or hold examples, and where rows of unknown classes are there.
OF_NONE = ("called_none", "unknown_recall", "unknown_auc")
SLICED = ("accuracy", "log_loss")
DRAWS = 200
MOST_BOOTSTRAP_ROWS = 5000


def measure(
    case: Case,
    *,
    data_id: str,
    slices: Mapping[str, AnyArray],
    metrics: Sequence[str] | None = None,
    of: str = "model",
    seed: int = 0,
) -> tuple[Measurement, ...]:
    """Figures of a case with 95% intervals.

    A metric that needs what the model does not give (scores, embeddings) is left out when `metrics` is None, and
    is NaN when it was asked for. Rows of one group are resampled and counted together. A figure that is NaN, or
    whose error cannot be known (one row, one group), has no interval, and a gate refuses it.

    Args:
        slices: column name to a value a row; accuracy and log loss are measured on each value's rows too.
        seed: of the bootstrap.
    """
    wanted = [m for m in (*USUAL, *OF_NONE) if _possible(m, case)] if metrics is None else list(metrics)
    found = [_measurement(name, case, data_id, "", of, seed) for name in wanted]
    for part, rows in slice_rows(slices, len(case)):
        cut = case.take(rows)
        found += [_measurement(name, cut, data_id, part, of, seed) for name in SLICED if name in wanted]
    return tuple(found)


def _possible(name: str, case: Case) -> bool:
    if name in ("auc", "log_loss", "calibration_error"):
        return case.scores is not None
    if name == "called_none":
        return case.declines
    if name in ("unknown_recall", "unknown_auc"):
        asked = case.declines if name == "unknown_recall" else case.distances is not None
        return asked and bool((case.labels == -1).any())
    return case.embeddings is not None if name in ("recall_at_1", "map_at_r", "silhouette") else True


def _measurement(name: str, case: Case, data_id: str, part: str, of: str, seed: int) -> Measurement:
    metric: Metric = METRICS[name]
    figure = metric(case)
    bounds, method = _bounds(metric, figure, case, seed)
    interval = None if bounds is None else Interval(bounds.low, bounds.high, 0.95, method)
    return Measurement(name, figure.value, interval, figure.n, data_id, part, of)


def _bounds(metric: Metric, figure: Figure, case: Case, seed: int) -> tuple[Bounds | None, str]:
    if not math.isfinite(figure.value) or figure.n < 2:
        return None, ""
    if figure.bounds is not None:
        return figure.bounds, figure.method
    if figure.rows is not None and figure.binary:
        return proportion(figure.rows, figure.groups), "Clopper-Pearson"
    if figure.rows is not None:
        lone = clusters(figure.groups, len(figure.rows)).count < 2
        return (None, "") if lone else (_within(figure, mean_interval(figure.rows, figure.groups)), "t")
    return (_bootstrap(metric, figure.value, case, seed), "bootstrap") if figure.resample else (None, "")


def _within(figure: Figure, bounds: Bounds) -> Bounds:
    """An interval without the values that the figure cannot take."""
    low, high = figure.limits
    return Bounds(min(max(bounds.low, low), high), max(min(bounds.high, high), low))


def _bootstrap(metric: Metric, value: float, case: Case, seed: int) -> Bounds | None:
    """Bias-corrected percentile bootstrap over groups (or rows), at most 5,000 rows a draw."""
    rng = np.random.default_rng(seed)
    grouping = clusters(case.groups, len(case))
    groups = grouping.count
    if groups < 2:
        return None
    order = np.argsort(grouping.codes, kind="stable")
    members = np.split(order, np.cumsum(grouping.sizes)[:-1].astype(np.int64)) if groups < len(case) else None
    most = max(1, min(groups, int(groups * MOST_BOOTSTRAP_ROWS / len(case))))
    # Draws of fewer rows than there are spread wider by a known factor.
    shrink = math.sqrt(most / groups)
    found = []
    for _ in range(DRAWS):
        drawn = rng.integers(0, groups, most)
        rows = order[drawn] if members is None else np.concatenate([members[g] for g in drawn])
        figure = metric(case.take(rows))
        if math.isfinite(figure.value):
            found.append(value + (figure.value - value) * shrink)
    if len(found) < DRAWS // 2:
        return None
    if np.ptp(found) == 0.0:
        return _without_spread(value, case)
    return bias_corrected(np.array(found), value)


def _without_spread(value: float, case: Case) -> Bounds | None:
    """Resampling a perfect score shows no error at all: then the scarcest class decides, by Clopper-Pearson."""
    if not 0.0 <= value <= 1.0:
        return None
    scarcest = min(
        int(rows.sum()) if case.groups is None else len(np.unique(case.groups[rows]))
        for rows in (case.labels == c for c in np.unique(case.labels))
    )
    return clopper_pearson(value * scarcest, scarcest)
