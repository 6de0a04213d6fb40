"""The upper end of a metric's interval must stay under a value."""

from __future__ import annotations

from backstay.gate.evidence import HIGHER, measurement, refused
from backstay.gate.rules import Context
from backstay.kernel.records import Report, RuleOutcome
from backstay.settings import Rule


def check(report: Report, rule: Rule, _context: Context) -> RuleOutcome:
    """Pass when the 95% interval of `metric` lies at or below `value` (for log loss, calibration error, and
    the errors of a regression)."""
    name = f"at_most {rule.metric}"
    if rule.metric in HIGHER:
        return refused(name, f"of {rule.metric} more is better: ask with at_least")
    if rule.value is None:
        return refused(name, f"the policy names no value for {rule.metric}")
    found = measurement(report, rule.metric)
    if found is None or found.interval is None:
        return refused(name, f"{rule.metric} was not measured, or is not a number")
    high = found.interval.high
    span = f"{rule.metric} is {found.value:.3f} ({found.interval.low:.3f} to {high:.3f}, n={found.n})"
    return RuleOutcome(
        name,
        high <= rule.value,
        f"{span}, asked for at most {rule.value:g}",
        {"value": found.value, "high": high, "asked": rule.value, "n": found.n, "data": found.data_id},
    )
