"""Figures of the probabilities."""

from __future__ import annotations

import numpy as np

from backstay.evaluate.case import Case
from backstay.evaluate.metrics import Figure
from backstay.maths import classification
from backstay.maths.calibrate import debiased_calibration_error
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
    return Figure(float(rows.mean()), len(case), rows=rows, groups=case.groups)


def calibration_error(case: Case) -> Figure:
    """Debiased root mean squared gap between confidence and accuracy over bins, in [0, 1]; smaller is better.

    The plug-in error of a perfectly calibrated model is .13 at n = 100; this one is 0 on average.
    """
    if case.scores is None or len(case) < FEWEST:
        return Figure(NAN, 0)
    right = classification.correct(case.labels, case.predicted)
    found = debiased_calibration_error(classification.confidence(case.scores.astype(np.float64)), right)
    return Figure(float(found.error), len(case), bounds=Bounds(float(found.low), float(found.high)))
