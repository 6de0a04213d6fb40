"""The lower end of a metric's interval must reach a value."""

from __future__ import annotations

from backstay.gate.evidence import LOWER, measurement, refused
from backstay.gate.rules import Context
from backstay.kernel.records import Report, RuleOutcome
from backstay.settings import Rule


def check(report: Report, rule: Rule, _context: Context) -> RuleOutcome:
    """Pass when the 95% interval of `metric` lies at or above `value`: the evidence, not the point, must reach it."""
    name = f"at_least {rule.metric}"
    if rule.metric in LOWER:
        return refused(name, f"of {rule.metric} less is better: ask with at_most")
    if rule.value is None:
        return refused(name, f"the policy names no value for {rule.metric}")
    found = measurement(report, rule.metric)
    if found is None or found.interval is None:
        return refused(name, f"{rule.metric} was not measured, or is not a number")
    low = found.interval.low
    span = f"{rule.metric} is {found.value:.3f} ({low:.3f} to {found.interval.high:.3f}, n={found.n})"
    return RuleOutcome(
        name,
        low >= rule.value,
        f"{span}, asked for at least {rule.value:g}",
        {"value": found.value, "low": low, "asked": rule.value, "n": found.n, "data": found.data_id},
    )
