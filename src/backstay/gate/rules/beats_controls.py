"""Not behind simple controls by more than a margin, and of an encoder none that is surely ahead of it."""

from __future__ import annotations

import math

from backstay.gate.evidence import facts, refused, sound
from backstay.gate.rules import Context
from backstay.kernel.records import Comparison, Report, RuleOutcome
from backstay.settings import Rule

CONSTANTS = ("control:majority", "control:mean", "control:median", "control:most_frequent_set")
KNN = "knn_accuracy"
PSNR, DAMAGED = "psnr", "control:damaged_input"
LINEAR = "control:raw_linear"
# A side of the interval where only its p-value is known; and what nobody has of gate rows, so that it is not advised.
SIDE, MOST_ROWS = 0.025, 1_000_000
NO_USE = "the encoder may be of no use: "
ENCODER_CONTROLS = ("control:raw_knn", "control:random_encoder")


def check(report: Report, rule: Rule, _context: Context) -> RuleOutcome:
    """Pass when the model is above every constant answer (majority class; mean, median; most frequent set), and behind
    no other control by more than `margin`.

    "Behind" is judged by the one-sided lower bound of the paired difference. `control` narrows it to one control.
    An encoder is refused also where it is surely behind, by however little: where the upper end of the paired
    difference's interval (97.5% from its side) is below 0, it brings nothing for this metric. `surely_behind` allows
    for what is bought with accuracy; `margin` is for what is not known. Who passes though measured behind is told so,
    with the gap.
    With a time column, what was known last is a control too (last_label, last_value): the truth of the newest row
    strictly before, in the row's own group where it has one. It is given at once, which live truths seldom are.
    Where an encoder was trained, its nearest neighbours must not be behind those among raw rows or by the same encoder
    untrained either: a head can hide a space that is worse than none. With an encoder of a table, the model must be
    ahead of a linear one on the same columns and training rows (raw_linear: logistic regression, of numbers ridge), or
    like the others not behind by the margin. Where a model answers images for images, they must be nearer to the clean
    ones (PSNR) than the damaged images that they were made of.
    """
    name = f"beats_controls {rule.metric}"
    wanted = None if rule.control is None else f"control:{rule.control}"
    found = [
        c
        for c in report.comparisons
        if c.metric == rule.metric and not c.slice and c.against.startswith("control:") and wanted in (None, c.against)
    ]
    if not found:
        return refused(name, _no_control(report, rule, wanted))
    broken = [c.against for c in found if not sound(c)]
    if broken:
        return refused(name, f"{rule.metric} against {', '.join(broken)} is not a number")
    evidence = {"margin": rule.margin, "controls": [facts(c) for c in found]}
    measured = any(m.metric == KNN and m.of == "model" for m in report.measurements)
    reasons = _told([c for c in found if _may_be_behind(c, rule)], rule)
    if measured or any(c.against == LINEAR for c in found):
        reasons += _surely_behind(found, rule)
    refusal = _enhancer(report, name) or (_encoder(report, rule, name) if measured and wanted is None else None)
    if reasons:
        told = any(NO_USE in r for r in reasons)
        also = [refusal.message.removeprefix(NO_USE if told else "")] if refusal else []
        return RuleOutcome(name, False, "; ".join(reasons + also), evidence)
    if refusal is not None:
        return refusal
    gaps = ", ".join(f"{_named(c)} by {_interval(c)}" for c in found if c.difference < 0)
    behind = f"; measured behind {gaps}" if gaps else ""
    return RuleOutcome(name, True, f"behind none of {len(found)} controls by {rule.margin:g}{behind}", evidence)


def _no_control(report: Report, rule: Rule, wanted: str | None) -> str:
    there = [c for c in report.comparisons if not c.slice and c.against.startswith("control:")]
    if wanted is not None and (others := sorted({_named(c) for c in there if c.metric == rule.metric})):
        return f"the control {rule.control} was not measured for {rule.metric}; measured are {', '.join(others)}"
    could = ", ".join(sorted({c.metric for c in there if c.against not in ENCODER_CONTROLS or c.metric != KNN}))
    return f"no control was measured for {rule.metric}" + (f"; measured are those for {could}" if could else "")


def _named(found: Comparison) -> str:
    return found.against.removeprefix("control:")


def _allowed(found: Comparison, rule: Rule) -> float:
    """The difference above which the one-sided lower bound must be."""
    return 0.0 if found.against in CONSTANTS else -rule.margin


def _may_be_behind(found: Comparison, rule: Rule) -> bool:
    """By more than the rule allows. A linear model is often as good as the encoder, and then only thousands of rows
    would show that it is not ahead by the margin: who is measured ahead of it has beaten it."""
    if found.against == LINEAR and found.difference > 0:
        return False
    return found.one_sided_low <= _allowed(found, rule)


def _surely(found: Comparison, rule: Rule) -> bool:
    """Behind by the whole interval; an end that is not a number shows nothing in the encoder's favour."""
    if found.interval is None:
        return found.p_worse <= SIDE and found.difference < -rule.surely_behind
    return not found.interval.high >= -rule.surely_behind


def _surely_behind(found: list[Comparison], rule: Rule) -> list[str]:
    """A sentence on the controls that are ahead by the whole interval of the paired difference."""
    told = " and ".join(f"{_named(c)} by {_interval(c)}" for c in found if _surely(c, rule))
    also = f", allowed is {rule.surely_behind:g}" if rule.surely_behind else ""
    return [f"surely behind {told}{also}: the encoder brings nothing for this metric"] if told else []


def _interval(found: Comparison) -> str:
    """How far behind a control, from one end of the interval to the other."""
    if found.interval is None:
        return f"{-found.difference:.3f}"
    near, far = -found.interval.high, -found.interval.low
    least = f"{near:.3f}" if near >= 0 else f"{-near:.3f} ahead"
    return f"{-found.difference:.3f} ({least} to {far:.3f}{'' if near >= 0 else ' behind'})"


def _gap(found: Comparison, allowed: float, rule: Rule) -> str:
    """What was measured, the bound, and whether it is rows that are lacking and roughly how many would do.

    Who is measured behind by more than half of what is allowed, or surely behind, is told no number of rows: more of
    them would rather refuse it again.
    """
    by, worst = found.difference, max(0.0, -found.one_sided_low)
    said = "level" if abs(by) < 0.0005 else f"{abs(by):.3f} {'ahead' if by > 0 else 'behind'}"
    if by <= allowed:
        return f"{said}, {worst:.3f} at worst"
    if by < allowed / 2 or _surely(found, rule):
        return f"{said}, {worst:.3f} at worst, where a better recipe helps rather than more rows"
    said += f", but {found.n:,} rows cannot exclude {worst:.3f} behind"
    # A bound's distance shrinks with the root of the rows, and faster where hardly a row differs: at most so many.
    needed = found.n * min((by - found.one_sided_low) / (by - allowed), MOST_ROWS) ** 2
    if needed > MOST_ROWS:
        return said
    digits = 10 ** (len(str(int(needed))) - 2) if needed >= 100 else 1
    return f"{said}: up to {max(math.ceil(needed / digits) * digits, found.n + 1):,} may be needed"


def _told(behind: list[Comparison], rule: Rule) -> list[str]:
    """Sentences on constant answers, on the linear control, which tells what the encoder is worth, and on the rest."""

    def gaps(chosen: list[Comparison]) -> str:
        return ", ".join(f"{_named(c)} ({_gap(c, _allowed(c, rule), rule)})" for c in chosen)

    constants = [c for c in behind if c.against in CONSTANTS]
    others = [c for c in behind if c.against not in (*CONSTANTS, LINEAR)]
    found = [f"not shown to be ahead of {gaps(constants)}"] if constants else []
    found += [f"may be behind simple controls by more than the margin of {rule.margin:g}: {gaps(others)}"] * bool(
        others
    )
    return found + [
        f"{NO_USE}the model may be behind a linear one on the same columns "
        f"by more than the margin of {rule.margin:g} ({_gap(c, -rule.margin, rule)})"
        for c in behind
        if c.against == LINEAR
    ]


def _enhancer(report: Report, name: str) -> RuleOutcome | None:
    """Why the images that it answers are refused; None where it answers none, or better ones than were given."""
    if not any(m.metric == PSNR and m.of == "model" for m in report.measurements):
        return None
    found = [c for c in report.comparisons if c.metric == PSNR and c.against == DAMAGED and not c.slice]
    if not found or not all(sound(c) for c in found):
        return refused(name, "the enhanced images were not compared with the damaged ones, or it is not a number")
    if all(c.one_sided_low > 0.0 for c in found):
        return None
    return refused(
        name,
        f"the enhanced images may be no nearer to the clean ones than those given: PSNR {found[0].difference:+.2f} dB",
        controls=[facts(c) for c in found],
    )


def _encoder(report: Report, rule: Rule, name: str) -> RuleOutcome | None:
    """Why the encoder's space is refused; None when it is not behind."""
    found = [c for c in report.comparisons if c.metric == KNN and not c.slice and c.against in ENCODER_CONTROLS]
    missing = sorted(set(ENCODER_CONTROLS) - {c.against for c in found})
    if missing or not all(sound(c) for c in found):
        told = ", ".join(missing or [c.against for c in found if not sound(c)])
        return refused(name, f"the encoder was not compared with {told}, or the figure is not a number")
    words = {"control:raw_knn": "the raw input", "control:random_encoder": "the same encoder untrained"}
    behind = [c for c in found if c.one_sided_low <= -rule.margin]
    sure = [c for c in found if c not in behind and _surely(c, rule)]
    if not behind and not sure:
        return None
    may = " and ".join(f"{words[c.against]} ({_gap(c, -rule.margin, rule)})" for c in behind)
    are = " and ".join(f"{words[c.against]} by {_interval(c)}" for c in sure)
    parts = [f"may be behind those by {may}, by more than the margin of {rule.margin:g}"] if behind else []
    parts += [f"are surely behind those by {are}"] if sure else []
    return refused(
        name,
        f"{NO_USE}nearest neighbours in its space {', and '.join(parts)}",
        margin=rule.margin,
        controls=[facts(c) for c in found],
    )
