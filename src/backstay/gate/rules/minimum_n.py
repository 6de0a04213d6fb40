"""Enough rows to decide anything."""

from __future__ import annotations

from backstay.gate.evidence import measurement, refused
from backstay.gate.rules import Context
from backstay.kernel.records import Report, RuleOutcome
from backstay.settings import Rule


def check(report: Report, rule: Rule, context: Context) -> RuleOutcome:
    """Pass when the metric was measured on at least the policy's number of rows. Always on."""
    found = measurement(report, rule.metric)
    if found is None:
        return refused("minimum_n", f"{rule.metric} was not measured, or is not a number")
    return RuleOutcome(
        "minimum_n",
        found.n >= context.minimum_n,
        f"measured on {found.n} rows, the policy asks for {context.minimum_n} (gate.minimum_n)",
        {"n": found.n, "asked": context.minimum_n, "data": found.data_id},
    )
