"""Whether an interval of labels lies so low that the model is worse: a test at each look, inside the alarm budget.

The 95% interval that people read keeps its level at one look. A look a week for a year would call one good model in
some dozens worse for no reason, so what convicts is an upper limit at a level of its own: a quarter of what
`labelled_error` may spend, spread over the looks of a year, half of it for the standing sample and half for labels
drawn by doubt. Expectations add up however much neighbouring looks share, so nothing is asked of how labels overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backstay.kernel.records import Estimate
from backstay.maths.budget import AlarmBudget
from backstay.maths.intervals import proportion
from backstay.maths.stratified import stratified_upper

# Of the detector's share of false alarms; its e-detector keeps the rest.
PART = 0.25
SOURCES = 2
FEWEST = 20
# Where an estimate from labels keeps that limit.
CONVICTS = "convicting_high"


def alpha_of_look(budget: AlarmBudget | None, name: str, days: float) -> float:
    """Level at which each of the two sources is asked at a look at a window of so many days; 0 without a share.

    >>> budget = AlarmBudget(1.0, {"embedding": 3.0, "labelled_error": 2.0})
    >>> round(alpha_of_look(budget, "labelled_error", 7.0), 6)
    0.000959
    >>> alpha_of_look(AlarmBudget(1.0, {"embedding": 1.0}), "labelled_error", 7.0)
    0.0
    """
    if budget is None or name not in budget.weights:
        return 0.0
    return PART * budget.window_alpha(name, 365.0 / days) / SOURCES


def upper_of_labels(right: Any, groups: Any, alpha: float) -> float:
    """Upper limit of the accuracy from labels [n] as they are, exact; of rows in groups by their effective number."""
    return 1.0 if alpha == 0.0 or len(right) < FEWEST else proportion(right, groups, 1.0 - 2.0 * alpha).high


def upper_of_draw(figures: Mapping[str, Any], alpha: float) -> float:
    """The same of labels drawn by doubt, from what the estimate tells of its strata."""
    strata = figures["strata"]
    rows, labels, right = (np.asarray([part[name] for part in strata]) for name in ("rows", "labels", "right"))
    if alpha == 0.0 or labels.sum() < FEWEST or labels.min() == 0:
        return 1.0
    return stratified_upper(right, labels, rows, alpha)


def may_convict(estimate: Estimate | None) -> bool:
    """Whether a look at this estimate spends its level."""
    return estimate is not None and estimate.interval is not None and estimate.labels >= FEWEST
