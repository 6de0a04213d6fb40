"""Does retraining pay? A lower bound of what waiting costs against what retraining costs, every term shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from backstay.kernel.clock import utc
from backstay.kernel.records import Decision, Estimate, WindowResult
from backstay.maths.trigger import decide
from backstay.settings import RetrainSettings

# From half of a 95% interval to a one-sided 90% bound, for a nearly normal estimate: 1.2816 / 1.9600.
ONE_SIDED = 0.6539
VOLUME_WINDOWS = 4
LEAST_LABELS = 20


class Loss(NamedTuple):
    """Error rate of a model with how far it may be lower and higher (one-sided 90%), and where it is from."""

    value: float
    below: float
    above: float
    source: str


def loss_of(estimate: Estimate) -> Loss | None:
    """The error rate that an estimate of accuracy stands for; None when it was refused."""
    if estimate.value is None or estimate.interval is None:
        return None
    loss, low, high = 1.0 - estimate.value, 1.0 - estimate.interval.high, 1.0 - estimate.interval.low
    what = f"{estimate.labels} labels" if estimate.labels else "an estimate without labels"
    return Loss(loss, (loss - low) * ONE_SIDED, (high - loss) * ONE_SIDED, what)


def current_loss(results: Sequence[WindowResult]) -> Loss | None:
    """The newest window's loss: from 20 labels or more when there are, else from the label-free estimate."""
    if not results:
        return None
    newest = max(results, key=lambda result: result.end)
    labelled = [e for e in newest.estimates if e.kind in ("ppi", "labels") and e.labels >= LEAST_LABELS]
    others = [e for e in newest.estimates if e.kind == "label-free"]
    return next((loss for loss in map(loss_of, [*labelled, *others]) if loss is not None), None)


def reference_loss(results: Sequence[WindowResult]) -> Loss | None:
    """What a retrained model may be expected to lose: what the live one lost on its own reference."""
    known = max(results, key=lambda result: result.end).figures.get("reference_accuracy") if results else None
    if known is None:
        return None
    loss = 1.0 - float(known["value"])
    below, above = loss - (1.0 - float(known["high"])), (1.0 - float(known["low"])) - loss
    return Loss(loss, below * ONE_SIDED, above * ONE_SIDED, "the accuracy on the reference")


def predictions_per_day(results: Sequence[WindowResult]) -> float:
    """Rows a day over the last four windows."""
    last = sorted(results, key=lambda result: result.end)[-VOLUME_WINDOWS:]
    days = sum((result.end - result.start).total_seconds() for result in last) / 86_400
    return sum(result.rows for result in last) / days if days > 0 else 0.0


def decide_retrain(
    results: Sequence[WindowResult],
    settings: RetrainSettings,
    *,
    now: datetime,
    last_retrained: datetime | None = None,
    challenger: Loss | None = None,
    labels_at_hand: int = 0,
) -> Decision:
    """Retrain if and only if the lower bound of what it saves exceeds what it costs, and the cool-down is over.

    Args:
        results: windows of the live release.
        challenger: loss of a successor that has been measured (a shadow); by default what the live model lost on
            its reference.
        labels_at_hand: labels of the training share that need not be paid for again.

    The bound is one-sided 90% of the difference of two independent estimates: their errors add in quadrature.
    """
    loss, fresh = current_loss(results), challenger if challenger is not None else reference_loss(results)
    if loss is None or fresh is None:
        missing = "accuracy now is not known: label some rows" if loss is None else "accuracy before is not known"
        return Decision(False, f"Do not retrain: {missing}.", {})
    volume = settings.predictions_per_day if settings.predictions_per_day is not None else predictions_per_day(results)
    low, high = _joint(loss, fresh)
    found = decide(
        loss_now_low=low,
        loss_new_high=high,
        value_per_error=settings.value_per_error,
        volume_per_period=volume,
        horizon_periods=settings.horizon_days,
        cost_train=settings.cost_training,
        cost_label=settings.cost_per_label * max(settings.labels - labels_at_hand, 0),
        cost_risk=settings.cost_risk,
    )
    terms: dict[str, float | str] = {"error rate now": loss.value, "error rate after": fresh.value, **dict(found.terms)}
    terms |= {"known from": loss.source, "after from": fresh.source}
    sums = f"waiting {settings.horizon_days:g} days costs at least {found.value:,.0f}, retraining {found.cost:,.0f}"
    wait = _cooling(settings, utc(now), last_retrained)
    if wait is not None:
        terms["cool-down until"] = wait.isoformat()
        return Decision(False, f"Do not retrain before {wait:%Y-%m-%d %H:%M} UTC (cool-down): {sums}.", terms)
    return Decision(found.retrain, f"{'Retrain' if found.retrain else 'Do not retrain'}: {sums}.", terms)


def _joint(now: Loss, fresh: Loss) -> tuple[float, float]:
    """The two rates moved towards each other by the joint error, shared in proportion; never below zero."""
    joint = float(np.hypot(now.below, fresh.above))
    total = now.below + fresh.above
    part = now.below / total if total > 0 else 0.5
    return max(now.value - joint * part, 0.0), fresh.value + joint * (1.0 - part)


def _cooling(settings: RetrainSettings, now: datetime, last: datetime | None) -> datetime | None:
    """When the cool-down ends, if it has not."""
    end = None if last is None else utc(last) + timedelta(days=settings.cool_down_days)
    return end if end is not None and now < end else None
