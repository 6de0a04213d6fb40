"""A report and a policy to a verdict."""

from __future__ import annotations

from backstay.gate.rules import RULES, Context
from backstay.kernel.clock import Clock
from backstay.kernel.ids import event_id
from backstay.kernel.records import Report, Verdict
from backstay.settings import GateSettings, Rule

ALWAYS = (Rule(rule="minimum_n"), Rule(rule="no_open_findings"))
OF_NUMBERS = (Rule(rule="minimum_n", metric="mae"), Rule(rule="no_open_findings"))


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
    of_numbers = report.find("mae") is not None and report.find("accuracy") is None
    always = OF_NUMBERS if of_numbers else ALWAYS
    outcomes = tuple(RULES[rule.rule](report, rule, context) for rule in (*always, *policy.rules))
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
