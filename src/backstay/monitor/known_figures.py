"""What the reference says of the figure that a project goes by, where that is not accuracy."""

from __future__ import annotations

import numpy as np

from backstay.kernel.records import Estimate, Interval
from backstay.maths.ppi_auc import ppi_auc
from backstay.maths.ppi_mean import ppi_mean
from backstay.maths.ppi_metrics import Answered, ppi_metric
from backstay.monitor.label_free import draw_rows
from backstay.monitor.metric_estimates import positions, reference_truth
from backstay.monitor.reference import Reference

# More rows move no digit that people read.
MOST_ROWS = 20_000


def on_reference(metric: str, reference: Reference) -> Estimate | None:
    """The figure on labelled reference rows that the model was not trained on, with its 95% interval; None without.

    Args:
        metric: "mae", "auc", or one that is counted from answers and true classes.
    """
    return _mean_error(reference) if metric == "mae" else _of_classes(metric, reference)


def _mean_error(reference: Reference) -> Estimate | None:
    if reference.errors is None:
        return None
    rows = draw_rows(np.flatnonzero(np.isfinite(reference.errors)), MOST_ROWS, "known mean error")
    groups = None if reference.codes is None else reference.codes[rows]
    if len(rows if groups is None else np.unique(groups)) < 2:
        return None
    found = ppi_mean(reference.errors[rows], None, None, groups)
    return _told("mae", found.value, found.low, found.high, len(rows))


def _of_classes(metric: str, reference: Reference) -> Estimate | None:
    truth = reference_truth(reference)
    if truth is None:
        return None
    usable = np.intersect1d(reference.labelled, np.flatnonzero(truth >= 0))
    rows = draw_rows(usable, MOST_ROWS, f"known {metric}")
    scores = None if reference.scores is None else reference.scores[rows]
    if len(rows) == 0 or (metric == "auc" and scores is None):
        return None
    answers = Answered(positions(reference.predicted[rows], reference.classes), None, scores)
    nobody = Answered(np.empty(0, dtype=np.int64))
    groups = None if reference.codes is None else reference.codes[rows]
    classes = len(reference.classes)
    if metric == "auc":
        found = ppi_auc(truth[rows], answers, nobody, classes, groups)
    else:
        found = ppi_metric(metric, truth[rows], answers, nobody, classes, groups)
    if found.value is None or found.low is None or found.high is None:
        return None
    return _told(metric, found.value, found.low, found.high, len(rows))


def _told(metric: str, value: float, low: float, high: float, rows: int) -> Estimate:
    return Estimate("labels", metric, value, Interval(low, high, 0.95, "reference"), rows, "", labels=rows)
