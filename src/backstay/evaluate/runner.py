"""Measure a case: every metric with an interval, over all rows and slice by slice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from backstay.evaluate.case import Case
from backstay.evaluate.metrics import METRICS, Figure
from backstay.kernel.records import Interval, Measurement
from backstay.maths.arrays import AnyArray
from backstay.maths.intervals import Bounds, bias_corrected, mean_interval, proportion

USUAL = (
    "accuracy", "balanced_accuracy", "precision", "recall", "f1", "auc", "log_loss", "calibration_error",
    "recall_at_1", "map_at_r",
)
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
    is NaN when it was asked for. Rows of one group are resampled and counted together.

    Args:
        slices: column name to a value a row; accuracy and log loss are measured on each value's rows too.
    """
    wanted = [m for m in USUAL if _possible(m, case)] if metrics is None else list(metrics)
    found = [_measurement(name, case, data_id, "", of, seed) for name in wanted]
    for column, values in slices.items():
        for value in sorted({str(v) for v in values}):
            part = case.take(np.asarray([str(v) == value for v in values]))
            found += [
                _measurement(name, part, data_id, f"{column}={value}", of, seed) for name in SLICED if name in wanted
            ]
    return tuple(found)


def _possible(name: str, case: Case) -> bool:
    if name in ("auc", "log_loss", "calibration_error"):
        return case.scores is not None
    return case.embeddings is not None if name in ("recall_at_1", "map_at_r") else True


def _measurement(name: str, case: Case, data_id: str, part: str, of: str, seed: int) -> Measurement:
    metric = METRICS[name]
    figure: Figure = metric(case)
    bounds, method = _bounds(metric, figure, case, seed)
    interval = None if bounds is None else Interval(bounds.low, bounds.high, 0.95, method)
    return Measurement(name, figure.value, interval, figure.n, data_id, part, of)


def _bounds(metric: object, figure: Figure, case: Case, seed: int) -> tuple[Bounds | None, str]:
    if not math.isfinite(figure.value) or figure.n < 2:
        return None, ""
    if figure.bounds is not None:
        return figure.bounds, "bootstrap"
    if figure.rows is not None and figure.binary:
        return proportion(figure.rows, figure.groups), "Clopper-Pearson"
    if figure.rows is not None:
        return mean_interval(figure.rows, figure.groups), "t"
    return _bootstrap(metric, figure.value, case, seed), "bootstrap"


def _bootstrap(metric: object, value: float, case: Case, seed: int) -> Bounds | None:
    """Bias-corrected percentile bootstrap over groups (or rows), at most 5,000 rows a draw."""
    rng = np.random.default_rng(seed)
    codes = np.arange(len(case)) if case.groups is None else np.unique(case.groups, return_inverse=True)[1].reshape(-1)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(codes.max() + 2))
    groups = len(starts) - 1
    most = max(1, min(groups, int(groups * MOST_BOOTSTRAP_ROWS / len(case))))
    shrink = math.sqrt(most / groups)
    found = []
    for _ in range(DRAWS):
        drawn = rng.integers(0, groups, most)
        rows = np.concatenate([order[starts[g] : starts[g + 1]] for g in drawn]) if groups < len(case) else order[drawn]
        figure = metric(case.take(rows))  # type: ignore[operator] # a Metric of the shelf
        if math.isfinite(figure.value):
            # Draws of fewer rows than there are spread wider by a known factor.
            found.append(value + (figure.value - value) * shrink)
    if len(found) < DRAWS // 2:
        return None
    return bias_corrected(np.array(found), value)
