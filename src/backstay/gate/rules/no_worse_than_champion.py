"""Not worse than the champion by more than a margin, on the same rows."""

from __future__ import annotations

from backstay.gate.evidence import comparisons, facts, not_compared, refused, sound
from backstay.gate.rules import Context
from backstay.kernel.records import Report, RuleOutcome
from backstay.settings import Rule


def check(report: Report, rule: Rule, context: Context) -> RuleOutcome:
    """Pass when the one-sided lower bound of the paired difference lies above -`margin` (non-inferiority)."""
    name = f"no_worse_than_champion {rule.metric}"
    if context.champion is None:
        return RuleOutcome(name, True, "there is no champion yet")
    found = comparisons(report, rule.metric, context.champion, sliced=False)
    if len(found) != 1 or not sound(found[0]):
        return refused(name, not_compared(report, rule.metric, context.champion))
    c = found[0]
    passed = c.one_sided_low > -rule.margin
    word = "no worse" if passed else "may be worse"
    return RuleOutcome(
        name,
        passed,
        f"{word} than the champion by {rule.margin:g}: {rule.metric} {c.difference:+.3f}, "
        f"at least {c.one_sided_low:+.3f}, n={c.n}",
        {**facts(c), "margin": rule.margin},
    )
