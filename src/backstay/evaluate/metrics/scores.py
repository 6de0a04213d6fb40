"""Figures of the probabilities."""

from __future__ import annotations

import math

import numpy as np

from backstay.evaluate.case import Case
from backstay.evaluate.metrics import Figure
from backstay.maths import classification
from backstay.maths.calibrate import debiased_calibration_error
from backstay.maths.clusters import clusters, effective_size
from backstay.maths.intervals import Bounds

NAN = float("nan")
FEWEST = 30


def auc(case: Case) -> Figure:
    """Area under the ROC curve, in [0, 1], 0.5 by chance; the mean of one against rest for more than two classes."""
    if case.scores is None:
        return Figure(NAN, 0)
    return Figure(classification.auc(case.labels, case.scores.astype(np.float64)), len(case))


def log_loss(case: Case) -> Figure:
    """Mean negative logarithm of the probability given to the true class, in nats; 0 is perfect, smaller is better."""
    if case.scores is None or len(case) == 0:
        return Figure(NAN, 0)
    rows = classification.log_losses(case.labels, case.scores.astype(np.float64))
    return Figure(float(rows.mean()), len(case), rows=rows, groups=case.groups, limits=(0.0, math.inf))


def calibration_error(case: Case) -> Figure:
    """Debiased root mean squared gap between confidence and accuracy over bins, in [0, 1]; smaller is better.

    The plug-in error of a perfectly calibrated model is .13 at n = 100; this one is 0 on average. NaN below 30 rows
    and for scores that are no probabilities. With groups the interval is widened by the design effect. Rows that were
    answered "none of these" are left out: the scores say nothing of that answer.
    """
    if case.declines:
        case = case.take(case.predicted >= 0)
    if case.scores is None:
        return Figure(NAN, 0)
    scores = case.scores.astype(np.float64)
    if len(case) < FEWEST or not classification.proper(scores).all():
        return Figure(NAN, len(case))
    right = case.right
    confidence = classification.confidence(case.predicted, scores)
    found = debiased_calibration_error(confidence, right)
    if case.groups is None:
        return Figure(found.error, len(case), bounds=Bounds(found.low, found.high))
    grouping = clusters(case.groups, len(case))
    if grouping.count < 2:
        return Figure(found.error, len(case), bounds=None, resample=False)
    effect = len(case) / effective_size(right - confidence, grouping)
    centre = max(found.squared, 0.0)
    low = centre - effect * (centre - found.low**2)
    high = centre + effect * (found.high**2 - centre)
    return Figure(found.error, len(case), bounds=Bounds(max(low, 0.0) ** 0.5, min(high, 1.0) ** 0.5))
