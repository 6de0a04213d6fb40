"""Not behind simple controls by more than a margin."""

from __future__ import annotations

from backstay.gate.evidence import facts, refused, sound
from backstay.gate.rules import Context
from backstay.kernel.records import Report, RuleOutcome
from backstay.settings import Rule

MAJORITY = "control:majority"


def check(report: Report, rule: Rule, _context: Context) -> RuleOutcome:
    """Pass when the model is above the majority class, and behind no other control by more than `margin`.

    "Behind" is judged by the one-sided lower bound of the paired difference. `control` narrows it to one control.
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
    behind = [c for c in found if c.one_sided_low <= (0.0 if c.against == MAJORITY else -rule.margin)]
    evidence = {"margin": rule.margin, "controls": [facts(c) for c in found]}
    if behind:
        told = ", ".join(f"{c.against.removeprefix('control:')} by {-c.difference:+.3f}" for c in behind)
        return RuleOutcome(name, False, f"may be behind simple controls: {told} (margin {rule.margin:g})", evidence)
    return RuleOutcome(name, True, f"behind none of {len(found)} controls by {rule.margin:g}", evidence)
