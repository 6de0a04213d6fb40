"""Does retraining pay? A lower bound of what waiting costs against what retraining costs, every term shown.

That bound is for one look, and a year has many; so the fall itself must be shown as well, at a level that a year of
looks has together (`monitor.fall`): no more than one year in twenty of a stream that does not change asks for a model.

Threshold, shift and calendar are there for teams that have agreed on them; only value knows what a model is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import numpy as np

from backstay.kernel.clock import utc
from backstay.kernel.records import Decision, Estimate, Json, WindowResult
from backstay.maths.trigger import RetrainDecision, decide
from backstay.monitor.detectors import OF_LABELS
from backstay.monitor.fall import DAYS_A_YEAR, Fall, fall_of
from backstay.settings import RetrainSettings

# From half of a 95% interval to a one-sided 90% bound, for a nearly normal estimate: 1.2816 / 1.9600.
ONE_SIDED = 0.6539
VOLUME_WINDOWS = 4
LEAST_LABELS = 20
FREE = "label-free"
# Kinds of estimates, the first that says something counts.
ORDER = ("ppi", "labels", "stratified", FREE)
# Terms of the sum whose names need more words than a key.
KNOWN_FROM, AFTER_FROM = "error rate now, known from", "error rate after, known from"
EVIDENCE = "evidence of the labels for a fall (1 or more shows it)"
WIDTH = "margin that shows a fall without labels (times that of the 90% bound)"


class Loss(NamedTuple):
    """Error rate of a model with how far it may be lower and higher (one-sided 90%), and where it is from."""

    value: float
    below: float
    above: float
    source: str


class Gain(NamedTuple):
    """Error rates of the live model and of a shadow on the same `n` rows; `low` bounds now - after from below (90%)."""

    now: float
    after: float
    low: float
    n: int
    source: str


def loss_of(estimate: Estimate) -> Loss | None:
    """The error rate that an estimate of accuracy stands for; None when it was refused."""
    if estimate.value is None or estimate.interval is None:
        return None
    loss, low, high = 1.0 - estimate.value, 1.0 - estimate.interval.high, 1.0 - estimate.interval.low
    what = f"{estimate.labels} labels" if estimate.labels else "an estimate without labels"
    return Loss(loss, (loss - low) * ONE_SIDED, (high - loss) * ONE_SIDED, what)


def current_loss(results: Sequence[WindowResult]) -> Loss | None:
    """The newest window's loss: from 20 labels or more when there are, else from the label-free estimate.

    Labels of the standing sample go before those drawn by doubt, which speak for one window only.
    """
    if not results:
        return None
    newest = max(results, key=lambda result: result.end)
    known = [e for e in newest.estimates if e.metric == "accuracy" and (e.kind == FREE or e.labels >= LEAST_LABELS)]
    ordered = sorted((e for e in known if e.kind in ORDER), key=lambda e: ORDER.index(e.kind))
    return next((loss for loss in map(loss_of, ordered) if loss is not None), None)


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
    former: Sequence[WindowResult] = (),
    last_retrained: datetime | None = None,
    live_since: datetime | None = None,
    trained: Sequence[datetime] = (),
    challenger: Loss | None = None,
    gain: Gain | None = None,
    labels_at_hand: int = 0,
) -> Decision:
    """Retrain if the trigger of the project file says so, the cool-down is over and this year's number is not used up.

    Whatever the trigger, the arithmetic of value and cost is shown as far as it is known.

    Args:
        results: windows of the live release. former: windows of releases before it.
        last_retrained: when a challenger was promoted last, for the cool-down.
        live_since: when the live release was made, for the calendar.
        trained: when challengers were trained, for the cool-down and `most_per_year`.
        challenger: loss of a successor that has been measured; by default what the live model lost on its reference.
        gain: of a shadow that was compared with the live model on the same rows; goes before `challenger`.
        labels_at_hand: labels of the training share that need not be paid for again.
    """
    worth = _worth(results, settings, challenger, gain, labels_at_hand, fall_of(results, former=former))
    asked = worth if settings.trigger == "value" else _asked(results, former, settings, utc(now), live_since, worth)
    hold = _hold(settings, utc(now), last_retrained, trained)
    if hold is None:
        return asked
    why, term = hold
    said = asked.headline.partition(": ")[2] or asked.headline
    return Decision(False, f"Do not retrain {why}: {said}", {**asked.terms, **term})


def _worth(
    results: Sequence[WindowResult],
    settings: RetrainSettings,
    challenger: Loss | None,
    gain: Gain | None,
    labels_at_hand: int,
    fall: Fall,
) -> Decision:
    """Whether the lower bound of what a new model saves exceeds what it costs, and the fall is no luck.

    The bound is one-sided 90%: of a paired difference where a shadow was measured, else of the difference of two
    independent estimates, whose errors add in quadrature.
    """
    loss, fresh = current_loss(results), challenger if challenger is not None else reference_loss(results)
    bounds: Callable[[float], tuple[float, float]]
    if gain is not None:
        now, after, bounds = gain.now, gain.after, partial(_of_gain, gain)
        sources = {KNOWN_FROM: gain.source, AFTER_FROM: f"a shadow on the same {gain.n} rows"}
    elif loss is not None and fresh is not None:
        now, after, bounds = loss.value, fresh.value, partial(_joint, loss, fresh)
        sources = {KNOWN_FROM: loss.source, AFTER_FROM: fresh.source}
    else:
        missing = "accuracy now is not known: label some rows" if loss is None else "accuracy before is not known"
        known = {
            **({} if loss is None else {"error rate now": loss.value, KNOWN_FROM: loss.source}),
            **({} if fresh is None else {"error rate after": fresh.value, AFTER_FROM: fresh.source}),
        }
        return Decision(False, f"Do not retrain: {missing}.", {**known, **_given(results, settings, labels_at_hand)})
    found, surely = (_sum(bounds(times), results, settings, labels_at_hand) for times in (1.0, fall.strict))
    rates: Json = {"error rate now": now, "error rate after": after}
    terms = {**rates, **dict(found.terms), **sources, **_shown(fall)}
    sums = f"waiting {settings.horizon_days:g} days costs at least {found.value:,.0f}, retraining {found.cost:,.0f}"
    if not found.retrain:
        return Decision(False, f"Do not retrain: {sums}.", terms)
    if not (fall.by_labels or surely.retrain):
        return Decision(False, f"Do not retrain yet: {sums}, if that is no luck: {fall.told()}.", terms)
    return Decision(True, f"Retrain: {sums}.", terms)


def _sum(
    bounds: tuple[float, float], results: Sequence[WindowResult], settings: RetrainSettings, labels_at_hand: int
) -> RetrainDecision:
    volume = settings.predictions_per_day if settings.predictions_per_day is not None else predictions_per_day(results)
    return decide(
        loss_now_low=bounds[0],
        loss_new_high=bounds[1],
        value_per_error=settings.value_per_error,
        rows_per_day=volume,
        horizon_days=settings.horizon_days,
        cost_train=settings.cost_training,
        cost_label=settings.cost_per_label * max(settings.labels - labels_at_hand, 0),
        cost_risk=settings.cost_risk,
    )


def _given(results: Sequence[WindowResult], settings: RetrainSettings, labels_at_hand: int) -> Json:
    """The terms that hang on no error rate: what an error costs, how many there may be, and what retraining costs."""
    sums = _sum((0.0, 0.0), results, settings, labels_at_hand)
    rates = ("error rate now, at least", "error rate after, at most")
    gains = ("errors avoided, at least", "value of retraining, at least", "value less cost")
    return {name: value for name, value in sums.terms if name not in (*rates, *gains)}


def _shown(fall: Fall) -> Json:
    """The terms of what shows that the fall is no luck."""
    terms: Json = {WIDTH: fall.strict}
    if fall.accepted is not None:
        terms["error rate that is accepted"] = fall.accepted
    if fall.evidence is not None:
        terms[EVIDENCE] = fall.evidence
    return terms


def _asked(
    results: Sequence[WindowResult],
    former: Sequence[WindowResult],
    settings: RetrainSettings,
    now: datetime,
    live_since: datetime | None,
    worth: Decision,
) -> Decision:
    """What another trigger than value says."""
    if settings.trigger == "threshold":
        retrain, why = _below(results, former, float(settings.minimum_accuracy or 0.0))
    elif settings.trigger == "shift":
        retrain, why = _shifted(results)
    else:
        retrain, why = _due(now, live_since, float(settings.every_days or 0.0))
    terms = {"trigger": settings.trigger, **worth.terms}
    return Decision(retrain, f"{'Retrain' if retrain else 'Do not retrain'}: {why}.", terms)


def _below(results: Sequence[WindowResult], former: Sequence[WindowResult], least: float) -> tuple[bool, str]:
    """Whether accuracy is below what is accepted: by a bound of 90% and the labels of all looks, or a strict bound."""
    loss = current_loss(results)
    if loss is None:
        return False, "accuracy now is not known: label some rows"
    fall = fall_of(results, least, former=former)
    most, surely = (1.0 - loss.value + times * loss.below for times in (1.0, fall.strict))
    known = f"accuracy is at most {most:.1%} (one-sided 90%)"
    if most >= least:
        return False, f"{known}, not provably below retrain.minimum_accuracy {least:.1%}"
    if fall.by_labels or surely < least:
        return True, f"{known}, below retrain.minimum_accuracy {least:.1%}"
    return False, f"{known}, below retrain.minimum_accuracy {least:.1%} if that is no luck: {fall.told()}"


def _shifted(results: Sequence[WindowResult]) -> tuple[bool, str]:
    newest = max(results, key=lambda result: result.end, default=None)
    over = [] if newest is None else [s.detector for s in newest.signals if s.alarm and s.detector not in OF_LABELS]
    return bool(over), f"{', '.join(over)} moved" if over else "nothing moved in the newest window"


def _due(now: datetime, live_since: datetime | None, days: float) -> tuple[bool, str]:
    if live_since is None:
        return False, "nobody knows since when the live model is live"
    age = (now - utc(live_since)).total_seconds() / 86_400
    return age >= days, f"the live model is {age:.0f} days old, retrain.every_days is {days:g}"


def _hold(
    settings: RetrainSettings, now: datetime, last: datetime | None, trained: Sequence[datetime]
) -> tuple[str, dict[str, str | float]] | None:
    """What forbids retraining now, whatever the trigger: the cool-down, or the year's number."""
    newest = max((utc(at) for at in (last, *trained) if at is not None), default=None)
    end = None if newest is None else newest + timedelta(days=settings.cool_down_days)
    if end is not None and now < end:
        return f"before {end:%Y-%m-%d %H:%M} UTC (cool-down)", {"cool-down until": end.isoformat()}
    recent = sum(1 for at in trained if now - utc(at) < timedelta(days=DAYS_A_YEAR))
    if settings.most_per_year is not None and recent >= settings.most_per_year:
        return f"({recent} challengers in 365 days, retrain.most_per_year)", {"challengers in 365 days": float(recent)}
    return None


def _joint(now: Loss, fresh: Loss, times: float) -> tuple[float, float]:
    """The two rates moved towards each other by so many times the joint error, shared in proportion; never below 0."""
    joint = times * float(np.hypot(now.below, fresh.above))
    total = now.below + fresh.above
    part = now.below / total if total > 0 else 0.5
    return max(now.value - joint * part, 0.0), fresh.value + joint * (1.0 - part)


def _of_gain(gain: Gain, times: float) -> tuple[float, float]:
    """The shadow's rate, and the least by which the live model's lies above it, so many times as sure as at 90%."""
    difference = gain.now - gain.after
    return max(gain.after + difference - times * (difference - gain.low), 0.0), gain.after
