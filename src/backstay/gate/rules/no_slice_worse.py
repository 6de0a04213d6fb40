"""No slice may be worse than the champion by a margin."""

from __future__ import annotations

from backstay.gate.evidence import comparisons, is_number, not_compared, refused, sound
from backstay.gate.rules import Context
from backstay.kernel.records import Report, RuleOutcome
from backstay.settings import Rule


def check(report: Report, rule: Rule, context: Context) -> RuleOutcome:
    """Refuse when a slice fell by `margin` or more and chance alone does not explain a fall (one-sided `alpha`).

    The test is not corrected for the number of slices: an error here refuses a good model, it never lets a bad one
    through. Slices with fewer than `minimum_n` rows are listed as not judged.
    """
    name = f"no_slice_worse {rule.metric}"
    if context.champion is None:
        return RuleOutcome(name, True, "there is no champion yet")
    overall = comparisons(report, rule.metric, context.champion, sliced=False)
    if len(overall) != 1 or not sound(overall[0]):
        return refused(name, not_compared(report, rule.metric, context.champion))
    found = comparisons(report, rule.metric, context.champion, sliced=True)
    # A count that is not a number is judged too, and so refused, rather than waved through as thin.
    judged = [c for c in found if not is_number(c.n) or c.n >= rule.minimum_n]
    thin = [c.slice for c in found if c not in judged]
    broken = [c.slice for c in judged if not sound(c)]
    if broken:
        return refused(name, f"{rule.metric} is not a number on {', '.join(broken)}")
    worse = [c for c in judged if c.difference <= -rule.margin and c.p_worse < rule.alpha]
    evidence = {
        "margin": rule.margin,
        "alpha": rule.alpha,
        "slices": {c.slice: {"difference": c.difference, "p_worse": c.p_worse, "n": c.n} for c in judged},
        "not_judged": thin,
    }
    if worse:
        told = ", ".join(f"{c.slice} {c.difference:+.3f} (n={c.n}, p={c.p_worse:.2g})" for c in worse)
        return RuleOutcome(name, False, f"worse on a slice: {told}", evidence)
    note = f"; too few rows to judge {', '.join(thin)}" if thin else ""
    return RuleOutcome(name, True, f"no slice of {len(judged)} is worse by {rule.margin:g}{note}", evidence)
