"""A report and a policy to a verdict."""

from __future__ import annotations

from backstay.gate.rules import RULES, Check, Context
from backstay.kernel.clock import Clock
from backstay.kernel.ids import event_id
from backstay.kernel.records import Report, Verdict
from backstay.settings import GateSettings, Rule

ALWAYS = (Rule(rule="minimum_n"), Rule(rule="no_open_findings"))
# Of what is no class: the figure that is always there, and whose rows are counted.
FIRST = ("accuracy", "mae", "subset_accuracy")


def check_policy(policy: GateSettings) -> None:
    """Raises NotFound for a rule that is not on the shelf. Asked before work is done that the policy is to judge."""
    for rule in policy.rules:
        RULES[rule.rule]


def decide(
    report: Report,
    policy: GateSettings,
    *,
    model: str,
    environment: str,
    champion: str | None,
    clock: Clock,
) -> Verdict:
    """Ask every rule of the policy, and the two that no policy can leave out. All must pass.

    Args:
        champion: the model that is live, against which the report compared; None when there is none.

    Raises NotFound for a rule that is not on the shelf: a policy that cannot be read decides nothing.
    """
    context = Context(champion=champion, minimum_n=policy.minimum_n)
    first = next((name for name in FIRST if report.find(name) is not None), FIRST[0])
    always = tuple(rule.model_copy(update={"metric": first}) for rule in ALWAYS)
    asked: list[tuple[Check, Rule]] = [(RULES[rule.rule], rule) for rule in (*always, *policy.rules)]
    outcomes = tuple(check(report, rule, context) for check, rule in asked)
    return Verdict(
        id=event_id("verdict"),
        model=model,
        environment=environment,
        candidate=report.model_id,
        champion=champion,
        report_id=report.id,
        data_id=report.data_id,
        policy_digest=policy.digest,
        passed=all(outcome.passed for outcome in outcomes),
        outcomes=outcomes,
        created_at=clock.now(),
    )
