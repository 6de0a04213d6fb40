"""Not behind simple controls by more than a margin."""

from __future__ import annotations

from backstay.gate.evidence import facts, refused, sound
from backstay.gate.rules import Context
from backstay.kernel.records import Comparison, Report, RuleOutcome
from backstay.settings import Rule

CONSTANTS = ("control:majority", "control:mean", "control:median", "control:most_frequent_set")
KNN = "knn_accuracy"
PSNR, DAMAGED = "psnr", "control:damaged_input"
LINEAR = "control:raw_linear"
ENCODER_CONTROLS = ("control:raw_knn", "control:random_encoder")


def check(report: Report, rule: Rule, _context: Context) -> RuleOutcome:
    """Pass when the model is above every constant answer (majority class; mean, median; most frequent set), and behind
    no other control by more than `margin`.

    "Behind" is judged by the one-sided lower bound of the paired difference. `control` narrows it to one control.
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
        return refused(name, f"no control was measured for {rule.metric}")
    broken = [c.against for c in found if not sound(c)]
    if broken:
        return refused(name, f"{rule.metric} against {', '.join(broken)} is not a number")
    behind = [c for c in found if _may_be_behind(c, rule)]
    evidence = {"margin": rule.margin, "controls": [facts(c) for c in found]}
    measured = wanted is None and any(m.metric == KNN and m.of == "model" for m in report.measurements)
    refusal = _enhancer(report, name) or (_encoder(report, rule, name) if measured else None)
    if behind:
        message = "; ".join(_told(behind, rule))
        also = "" if refusal is None else f"; {refusal.message}"
        return RuleOutcome(name, False, message + also, evidence)
    if refusal is not None:
        return refusal
    return RuleOutcome(name, True, f"behind none of {len(found)} controls by {rule.margin:g}", evidence)


def _may_be_behind(found: Comparison, rule: Rule) -> bool:
    """By more than the rule allows. A linear model is often as good as the encoder, and then only thousands of rows
    would show that it is not ahead by the margin: who is measured ahead of it has beaten it."""
    if found.against == LINEAR and found.difference > 0:
        return False
    return found.one_sided_low <= (0.0 if found.against in CONSTANTS else -rule.margin)


def _told(behind: list[Comparison], rule: Rule) -> list[str]:
    """A sentence for the linear control, which tells what the encoder is worth, and one for the others together."""
    others = [c for c in behind if c.against != LINEAR]
    told = ", ".join(f"{c.against.removeprefix('control:')} by {0.0 - c.difference:+.3f}" for c in others)
    found = [f"may be behind simple controls: {told} (margin {rule.margin:g})"] if others else []
    return found + [
        f"the encoder may be of no use: the model may be behind a linear one on the same columns ({c.difference:+.3f}) "
        f"by more than the margin of {rule.margin:g}"
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
    behind = [c for c in found if c.one_sided_low <= -rule.margin]
    if not behind:
        return None
    words = {"control:raw_knn": "the raw input", "control:random_encoder": "the same encoder untrained"}
    told = " and ".join(f"{words[c.against]} ({c.difference:+.3f})" for c in behind)
    return refused(
        name,
        f"the encoder may be of no use: nearest neighbours in its space may be behind those by {told}, "
        f"by more than the margin of {rule.margin:g}",
        margin=rule.margin,
        controls=[facts(c) for c in found],
    )
