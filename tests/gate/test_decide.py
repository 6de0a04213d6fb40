from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from backstay.gate import rules
from backstay.gate.decide import decide
from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import NotFound
from backstay.kernel.records import Finding, RuleOutcome, Severity
from backstay.settings import GateSettings, Rule

CLOCK = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))


def judge(report, policy, champion="champ"):
    return decide(report, policy, model="m", environment="production", champion=champion, clock=CLOCK)


def test_a_verdict_is_bound_to_what_it_was_reached_on(report, compared):
    policy = GateSettings(rules=(Rule(rule="no_worse_than_champion", margin=0.02),))
    verdict = judge(report(compared()), policy)
    assert verdict.passed
    assert verdict.reasons == ()
    assert (verdict.candidate, verdict.champion, verdict.report_id) == ("model-b", "champ", "report-1")
    assert (verdict.data_id, verdict.policy_digest) == ("data-1", policy.digest)
    assert verdict.created_at == CLOCK.now()
    assert [o.rule for o in verdict.outcomes] == ["minimum_n", "no_open_findings", "no_worse_than_champion accuracy"]


def test_every_rule_must_pass_and_each_refusal_is_a_reason(report, compared):
    policy = GateSettings(rules=(Rule(rule="better_than_champion"), Rule(rule="at_least", value=0.5)))
    verdict = judge(report(compared(better=0.5)), policy)
    assert not verdict.passed
    assert [r[:23] for r in verdict.reasons] == ["not shown to be better "]


def test_no_policy_can_leave_out_rows_and_findings(report, measured):
    leak = Finding("overlap", Severity.HIGH, "leaked", "remove", "data-1")
    empty = GateSettings(rules=())
    assert judge(report(), empty).passed
    assert judge(report(measurements=[measured(n=99)]), empty).reasons == (
        "measured on 99 rows, the policy asks for 100 (gate.minimum_n)",
    )
    assert judge(report(findings=[leak]), empty).reasons == ("the audit found: overlap: leaked",)


def test_a_report_against_a_former_champion_is_refused(report, compared):
    policy = GateSettings(rules=(Rule(rule="no_worse_than_champion"),))
    assert not judge(report(compared(against="former")), policy).passed


def test_a_rule_that_is_not_on_the_shelf_decides_nothing(report):
    with pytest.raises(NotFound, match="no rule named 'at_leest'"):
        judge(report(), GateSettings(rules=(Rule(rule="at_leest"),)))


def test_a_rule_of_another_package_counts_like_ours(report, monkeypatch):
    monkeypatch.setitem(rules.RULES._targets, "never", f"{__name__}:never")
    monkeypatch.setitem(__import__("sys").modules, __name__, __import__("types").SimpleNamespace(never=never))
    verdict = judge(report(), GateSettings(rules=(Rule(rule="never"),)))
    assert verdict.reasons == ("never",)


def never(report, rule, context):
    return RuleOutcome("never", False, "never")


def test_every_change_of_the_policy_changes_its_digest():
    base = GateSettings()
    first = base.rules[0]
    others = [
        GateSettings(minimum_n=99),
        GateSettings(rules=base.rules[:2]),
        GateSettings(rules=(first.model_copy(update={"margin": 0.021}), *base.rules[1:])),
        GateSettings(rules=(first.model_copy(update={"control": "majority"}), *base.rules[1:])),
    ]
    assert len({p.digest for p in (base, *others)}) == 5
    assert GateSettings().digest == base.digest


def test_two_verdicts_on_one_report_have_two_ids(report):
    first, second = (judge(report(), GateSettings(rules=())) for _ in range(2))
    assert first.id != second.id
    assert replace(first, id="") == replace(second, id="")
