"""All that is known of a window in one word, one headline and a few pieces of advice, for people."""

from __future__ import annotations

import math
from dataclasses import dataclass

from backstay.kernel.records import Condition, Estimate, Signal
from backstay.monitor.asking import ask_for, please
from backstay.monitor.facts import Facts


@dataclass(frozen=True, slots=True)
class Summary:
    """The outcome: one word, one headline, advice, and how many labels to ask for now."""

    condition: Condition
    headline: str
    advice: tuple[str, ...]
    labels_wanted: int


def summarise(facts: Facts) -> Summary:
    """WORSE only if labels say so; MOVED if a drift detector alarms; UNKNOWN if labels must tell; else FINE."""
    refused = facts.answered and facts.label_free.value is None and not facts.enough_labels
    if facts.convicted is not None or facts.labels_say_worse:
        return Summary(Condition.WORSE, _worse(facts), _advice(facts, _FOR_WORSE), 0)
    doubtful = facts.estimate_says_worse and not facts.enough_labels
    unsure = refused or doubtful or facts.labels_doubt
    wanted = facts.labels_wanted if unsure else 0
    if facts.drifted:
        return Summary(Condition.MOVED, _moved(facts, refused), _advice(facts, _FOR_MOVED, wanted), wanted)
    if unsure:
        return Summary(Condition.UNKNOWN, _unknown(facts, doubtful), _advice(facts, (), wanted), wanted)
    if facts.blind:
        return Summary(Condition.UNKNOWN, _blind(facts), _advice(facts, (), 0), 0)
    return Summary(Condition.FINE, _fine(facts), _advice(facts, (), 0), 0)


_FOR_WORSE = (
    "See what retraining would pay: `backstay watch --explain`; if the last release did it: `backstay rollback`.",
)
_FOR_MOVED = ("Look at the examples: was this to be expected, and is it meant to stay?",)


def labels_sentence(estimate: Estimate, primary: Estimate | None = None) -> str:
    """One sentence for people, every number from the computed interval.

    Args:
        primary: by the same labels the figure that the project goes by, where that is not accuracy.

    >>> from backstay.kernel.records import Interval
    >>> labels_sentence(Estimate("labels", "accuracy", .88, Interval(.757, .955), 900, "", labels=50,
    ...     labels_needed=140, figures={"right": 44, "days": 7.0}))
    'Of 50 labelled in the last 7 days 44 were right; accuracy is between 75.7% and 95.5%; 140 more would halve that.'
    >>> primary = Estimate("ppi", "f1", .8, Interval(.7, .88), 900, "", labels=50, labels_needed=150)
    >>> labels_sentence(Estimate("labels", "accuracy", .88, None, 900, "", labels=50,
    ...     figures={"right": 44, "days": 7.0}), primary)[49:]
    'F1 is between 70.0% and 88.0%; about 150 more would halve that.'
    """
    right = int(estimate.figures.get("right", 0))
    days = float(estimate.figures.get("days", 31.0))
    when = _span(days)
    drawn = " (drawn from more)" if estimate.figures.get("drawn") else ""
    span = f"in the last {when}"
    if estimate.figures.get("matured_days"):
        span = f"of the {when} to {str(estimate.figures['to'])[:10]}, {estimate.figures['matured_days']:g} days later,"
    sentence = f"Of {estimate.labels}{drawn} labelled {span} {right} were right"
    if primary is not None and primary.interval is not None:
        among = "" if primary.labels >= estimate.labels else f"by {primary.labels} of them "
        return f"{sentence}; {among}{_between(primary)}; about {primary.labels_needed} more would halve that."
    if estimate.interval is not None:
        sentence += f"; accuracy is between {estimate.interval.low:.1%} and {estimate.interval.high:.1%}"
    if estimate.labels_needed > 0:
        sentence += f"; {estimate.labels_needed} more would halve that"
    return sentence + "."


def _span(days: float) -> str:
    """So long ago, as people say it.

    >>> [_span(days) for days in (50.0, 30.4, 1.0, 0.002)]
    ['50 days', 'month', '24 hours', '3 minutes']
    """
    if 29.5 <= days <= 31.5:
        return "month"
    if days >= 1.5:
        return f"{days:.0f} days"
    hours = 24.0 * days
    return f"{hours:.0f} hours" if hours >= 1.5 else f"{max(math.ceil(60.0 * hours), 2)} minutes"


SHOWN = {"auc": "AUC", "f1": "F1", "mae": "the mean error"}


def _between(estimate: Estimate) -> str:
    """The interval of another figure than accuracy, in words."""
    if estimate.interval is None:
        return ""
    low, high = (_shown(estimate.metric, limit) for limit in (estimate.interval.low, estimate.interval.high))
    return f"{_named(estimate.metric)} is between {low} and {high}"


def _named(metric: str) -> str:
    return SHOWN.get(metric, metric.replace("_", " "))


def _shown(metric: str, value: float) -> str:
    """A figure as people write it: a mean error in the target's unit, an AUC as a fraction, others as shares."""
    if metric == "mae":
        return f"{value:.4g}"
    return f"{value:.3f}" if metric == "auc" else f"{value:.1%}"


def drawn_sentence(estimate: Estimate) -> str:
    """The same of labels that were drawn by doubt, or "" while they wait.

    >>> from backstay.kernel.records import Interval
    >>> said = drawn_sentence(Estimate("stratified", "accuracy", .943, Interval(.885, .968), 900, "", labels=50,
    ...     figures={"right": 41, "from": "2026-01-05T00:00:00+00:00", "to": "2026-01-12T00:00:00+00:00"}))
    >>> said[51:]
    'to 2026-01-12 41 were right: its accuracy is between 88.5% and 96.8%.'
    """
    if estimate.interval is None:
        return ""
    start, end = (str(estimate.figures[name])[:10] for name in ("from", "to"))
    return (
        f"Of {estimate.labels} drawn by doubt from the window of {start} to {end} {estimate.figures['right']} were "
        f"right: its accuracy is between {estimate.interval.low:.1%} and {estimate.interval.high:.1%}."
    )


def within(limit: float) -> str:
    """What "right" means of a number.

    >>> within(12.25)
    'A number counts as right within 12.25 of the truth, as nine in ten were on the reference.'
    >>> within(35384.2)
    'A number counts as right within 35,384 of the truth, as nine in ten were on the reference.'
    """
    shown = f"{limit:,.0f}" if 1000.0 <= limit < 1e15 else f"{limit:.4g}"
    return f"A number counts as right within {shown} of the truth, as nine in ten were on the reference."


SAID = "Worse: labels say that the model is wrong more often than it may be."
LINGERS = "Worse: the alarm that labels raised stands; they do not say yet that the model is right as often again."

EASED = "Worse: labels raised an alarm, which stands; the newest labels look no worse than the reference."


def _worse(facts: Facts) -> str:
    parts = [LINGERS if facts.lingers else EASED if facts.eased else SAID, _surprise(facts)]
    if facts.labelled is not None:
        parts.append(labels_sentence(facts.labelled, facts.primary))
    parts += _drawn(facts)
    parts.append(_before(facts))
    if facts.drifted:
        parts.append(f"The traffic moved as well: {_what_moved(facts)}.")
    elif facts.compared and not facts.eased:
        parts.append(
            "Only labels could show it: the inputs and the model's answers look as before, "
            "it is the answers wanted that have changed."
        )
    return _joined(parts)


DOUBT = "Labels look worse than the reference, and not yet by as much as an alarm takes of somebody who looks often."


def _doubt(facts: Facts) -> str:
    """Why labels make somebody doubt who is not convinced yet."""
    if facts.surprised is None:
        return DOUBT if facts.labels_below or facts.suspected is None else _suspicion(facts.suspected)
    return (
        f"What is right seems to have changed. {_surprise(facts)} Labels do not say yet that accuracy has fallen by "
        "more than is accepted."
    )


def _suspicion(signal: Signal) -> str:
    """The same count where it raises no alarm yet.

    >>> _suspicion(Signal("confident_errors", .7, False, .004, 12, "", figures={
    ...     "sure_wrong": 3, "sure_labels": 10, "sure_expected": .52}))
    'Mistakes where the model was sure: 3 of the last 10, 0.5 expected; too few for an alarm, enough to ask for more.'
    """
    wrong, labels, expected = (signal.figures.get(f"sure_{what}", 0) for what in ("wrong", "labels", "expected"))
    return (
        f"Mistakes where the model was sure: {wrong} of the last {labels}, {expected:.1f} expected; too few for an "
        "alarm, enough to ask for more."
    )


def _surprise(facts: Facts) -> str:
    """The count of confident mistakes as a sentence."""
    if facts.surprised is None:
        return ""
    said = facts.surprised.moved[0]
    return f"{said[0].upper()}{said[1:]}."


def _moved(facts: Facts, refused: bool) -> str:
    parts = [f"Moved: {_what_moved(facts)}."]
    if facts.labelled is not None:
        parts.append(labels_sentence(facts.labelled, facts.primary))
    parts += _drawn(facts)
    if facts.labels_doubt:
        parts.append(_doubt(facts))
    elif facts.enough_labels:
        parts.append("Labels do not say that the model is worse.")
    if facts.label_free.value is not None:
        parts.append(_estimated(facts))
    elif refused:
        parts.append(f"Accuracy cannot be estimated without labels: {facts.label_free.refusals[0]}.")
        parts.append(_please(facts))
    parts.append(_before(facts))
    return _joined(parts)


def _unknown(facts: Facts, doubtful: bool) -> str:
    parts = [_doubt(facts), _please(facts)] if facts.labels_doubt else [_please(facts)]
    if doubtful:
        parts.append(_estimated(facts))
    elif facts.label_free.refusals:
        parts.append(f"Accuracy cannot be estimated without labels: {facts.label_free.refusals[0]}.")
    if facts.labelled is not None:
        parts.append(labels_sentence(facts.labelled, facts.primary))
    parts += _drawn(facts)
    parts.append(_before(facts))
    return _joined(parts)


def _blind(facts: Facts) -> str:
    """Nothing moved where nothing was looked at: that is no good news."""
    return _known(facts, "Nothing could be judged in this window.")


def _fine(facts: Facts) -> str:
    if facts.compared and facts.unjudged:
        unseen = ", ".join(facts.unjudged)
        return _known(facts, f"Probably fine: nothing that could be judged has moved (not judged: {unseen}).")
    if facts.compared:
        return _known(facts, "Probably fine: nothing that is watched has moved.")
    return _known(facts, "Probably fine by its labels alone: no detector could compare the traffic with the reference.")


def _known(facts: Facts, verdict: str) -> str:
    parts = [verdict]
    if facts.labelled is not None:
        parts.append(labels_sentence(facts.labelled, facts.primary))
    parts += _drawn(facts)
    if facts.label_free.value is not None:
        parts.append(_estimated(facts))
    parts.append(_before(facts))
    return _joined(parts)


def _drawn(facts: Facts) -> list[str]:
    return [] if facts.drawn is None else [drawn_sentence(facts.drawn)]


def _estimated(facts: Facts) -> str:
    estimate = facts.label_free
    if estimate.value is None or estimate.interval is None:
        return ""
    lower = "" if not facts.estimate_says_worse else ", below what the reference had"
    return (
        f"Without labels accuracy is estimated at {estimate.value:.1%} ({estimate.interval.low:.1%} to "
        f"{estimate.interval.high:.1%}){lower}: {estimate.assumption}."
    )


def _before(facts: Facts) -> str:
    if facts.known is None:
        return ""
    low, high = facts.known.bounds
    accuracy = f"accuracy was {facts.known.value:.1%} ({low:.1%} to {high:.1%}, {facts.known.n} rows)"
    return f"On the reference {accuracy}{_primary_before(facts.known_primary)}."


def _primary_before(known: Estimate | None) -> str:
    """What the project goes by, on the reference.

    >>> from backstay.kernel.records import Interval
    >>> _primary_before(Estimate("labels", "mae", .9134, Interval(.88, .95), 3000, "", labels=3000))
    ', the mean error 0.9134 (0.88 to 0.95)'
    """
    if known is None or known.value is None or known.interval is None:
        return ""
    value, low, high = (_shown(known.metric, one) for one in (known.value, known.interval.low, known.interval.high))
    return f", {_named(known.metric)} {value} ({low} to {high})"


def _please(facts: Facts) -> str:
    free = None if facts.unasked is None else facts.unasked + facts.waiting
    return please(facts.labels_wanted, facts.halfwidth, free)


def _what_moved(facts: Facts) -> str:
    named = [words for signal in facts.drifted for words in signal.moved[:2]]
    return "; ".join(dict.fromkeys(named)) or ", ".join(signal.detector for signal in facts.drifted)


def _advice(facts: Facts, first: tuple[str, ...], wanted: int = 0) -> tuple[str, ...]:
    advice = list(first)
    if wanted:
        advice.append(ask_for(wanted, facts.unasked, facts.waiting))
    rows = max((int(signal.figures.get("reference_rows_wanted", 0)) for signal in facts.signals), default=0)
    if rows:
        advice.append(f"Ask for more reference rows: {rows}. With those there are, small changes may go unseen.")
    advice += [str(s.figures["advice"]) for s in facts.signals if "advice" in s.figures]
    advice += [f"{s.detector} was {s.message}." for s in facts.signals if not s.figures.get("judged", True)]
    advice += [f"{name} does not watch: {why}." for name, why in facts.absent.items()]
    if facts.label_age_days is None and facts.answered:
        advice.append("No standing labels yet: a changed meaning of labels cannot be seen without them.")
    return (*advice, *facts.untold.sentences)


def _joined(parts: list[str]) -> str:
    return " ".join(part for part in parts if part)
