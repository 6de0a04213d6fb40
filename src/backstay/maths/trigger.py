"""Retrain when waiting provably costs more than retraining, and never because a p-value is small.

Value of retraining = (loss now, lower bound - loss of the challenger, upper bound) x rows x value of one error,
over a horizon; retrain when it exceeds what training, labels and risk cost (docs/statistics/retraining.md). On a stream
that does not change the answer is no as often as the level of the bounds says, look by look: `monitor.fall` asks for
more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backstay.kernel.errors import BackstayError


@dataclass(frozen=True, slots=True)
class RetrainDecision:
    """The decision and its arithmetic: `value` is a lower bound of what retraining saves, `net` = value - cost."""

    retrain: bool
    value: float
    cost: float
    net: float
    errors_saved: float
    terms: tuple[tuple[str, float], ...]

    def lines(self) -> tuple[str, ...]:
        """The arithmetic as text, one term a line."""
        return tuple(f"{name}: {amount:,.6g}" for name, amount in self.terms)


def decide(
    loss_now_low: float,
    loss_new_high: float,
    value_per_error: float,
    rows_per_day: float,
    horizon_days: float,
    cost_train: float,
    cost_label: float,
    cost_risk: float,
) -> RetrainDecision:
    """Decide from bounds of the loss a row (0 to 1 for an error rate) and amounts in one currency.

    >>> decide(0.12, 0.05, 2.0, 1000, 6, 300.0, 100.0, 0.0).retrain
    True
    >>> decide(0.05, 0.06, 2.0, 1000, 6, 300.0, 100.0, 0.0).value
    0.0
    """
    given = {
        "error rate now, at least": loss_now_low,
        "error rate after, at most": loss_new_high,
        "value of one error avoided": value_per_error,
        "rows a day": rows_per_day,
        "days ahead": horizon_days,
        "cost of training": cost_train,
        "cost of labels": cost_label,
        "cost of risk": cost_risk,
    }
    for name, amount in given.items():
        if not (np.isfinite(amount) and amount >= 0.0):
            raise BackstayError(f"{name} is {amount!r}", fix="give a finite number of 0 or more")
    saved = max(loss_now_low - loss_new_high, 0.0) * rows_per_day * horizon_days
    value, cost = saved * value_per_error, cost_train + cost_label + cost_risk
    terms = (
        *given.items(),
        ("errors avoided, at least", saved),
        ("value of retraining, at least", value),
        ("cost of retraining", cost),
        ("value less cost", value - cost),
    )
    return RetrainDecision(value > cost, value, cost, value - cost, saved, terms)
