"""Better than the champion, beyond what chance explains, on the same rows."""

from __future__ import annotations

from backstay.gate.evidence import comparisons, facts, not_compared, refused, sound
from backstay.gate.rules import Context
from backstay.kernel.records import Report, RuleOutcome
from backstay.settings import Rule


def check(report: Report, rule: Rule, context: Context) -> RuleOutcome:
    """Pass when the paired difference is positive and its one-sided p-value is below `alpha`."""
    name = f"better_than_champion {rule.metric}"
    if context.champion is None:
        return RuleOutcome(name, True, "there is no champion yet")
    found = comparisons(report, rule.metric, context.champion, sliced=False)
    if len(found) != 1 or not sound(found[0]):
        return refused(name, not_compared(report, rule.metric, context.champion))
    c = found[0]
    passed = c.difference > 0 and c.p_better < rule.alpha
    word = "better" if passed else "not shown to be better"
    return RuleOutcome(
        name,
        passed,
        f"{word} than the champion: {rule.metric} {c.difference:+.3f} "
        f"(p={c.p_better:.3g}, asked for {rule.alpha:g}, n={c.n})",
        {**facts(c), "alpha": rule.alpha},
    )
