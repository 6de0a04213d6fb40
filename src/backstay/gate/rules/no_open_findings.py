"""No audit finding of high severity may be open."""

from __future__ import annotations

from backstay.gate.rules import Context
from backstay.kernel.records import Report, RuleOutcome, Severity
from backstay.settings import Rule


def check(report: Report, _rule: Rule, _context: Context) -> RuleOutcome:
    """Pass when no audit found anything of high severity: leaked rows, a tell-tale column. Always on."""
    high = [f for f in report.findings if f.severity is Severity.HIGH]
    if high:
        told = "; ".join(f"{f.check}: {f.message}" for f in high)
        return RuleOutcome("no_open_findings", False, f"the audit found: {told}", {"checks": [f.check for f in high]})
    return RuleOutcome("no_open_findings", True, f"no finding of high severity among {len(report.findings)}")
