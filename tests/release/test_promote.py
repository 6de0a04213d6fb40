from __future__ import annotations

import pytest

from backstay.kernel.errors import NotFound, Refused
from backstay.kernel.records import ReleaseKind, RuleOutcome


def test_the_first_model_through_the_gate_is_release_1(desk):
    verdict = desk.verdict("model-a", None)
    release = desk.promote(verdict)
    assert desk.champion() == release
    assert (release.sequence, release.kind, release.measured) == (1, ReleaseKind.PROMOTED, True)
    assert (release.model_id, release.verdict_id, release.previous) == ("model-a", verdict.id, None)


def test_a_successor_names_what_it_replaces_and_the_ledger_says_all_of_it(desk):
    first = desk.adopt()
    verdict = desk.verdict("model-b", "model-a")
    release = desk.promote(verdict)
    assert (release.sequence, release.previous, release.reference_id) == (2, first.id, "reference-1")
    row = desk.last()
    assert (row.kind, row.actor) == ("promoted", "ann")
    assert {k: v for k, v in row.body.items() if k != "record"} == {
        "candidate": "model-b",
        "verdict": verdict.id,
        "policy": "policy-1",
        "data": "data-1",
        "report": "report-1",
        "reference": "reference-1",
        "previous": first.id,
        "reason": "better",
        "release": release.id,
    }
    assert desk.store.verify() == []


def test_a_failed_verdict_is_refused_and_the_attempt_is_on_record(desk):
    first = desk.adopt()
    verdict = desk.verdict("model-b", "model-a", passed=False)
    with pytest.raises(Refused, match="the gate refused model-b: worse on a slice") as caught:
        desk.promote(verdict, actor="eve", reason="trust me")
    assert caught.value.exit_code == 3
    assert desk.champion() == first
    row = desk.last()
    assert (row.kind, row.actor) == ("promotion_refused", "eve")
    assert row.body == {
        "candidate": "model-b",
        "verdict": verdict.id,
        "policy": "policy-1",
        "data": "data-1",
        "report": "report-1",
        "champion": "model-a",
        "previous": first.id,
        "why": "the gate refused model-b: worse on a slice",
        "reason": "trust me",
    }
    assert desk.store.verify() == []


@pytest.mark.parametrize("outcomes", [(), (RuleOutcome("rule", True, "fine"), RuleOutcome("rule", False, "not"))])
def test_a_verdict_whose_outcomes_do_not_bear_it_out_is_refused(desk, outcomes):
    with pytest.raises(Refused, match="the gate refused"):
        desk.promote(desk.verdict("model-a", None, passed=True, outcomes=outcomes))
    assert desk.champion() is None


def test_a_verdict_under_another_policy_is_refused(desk):
    verdict = desk.verdict("model-a", None, policy="policy-0")
    with pytest.raises(Refused, match="reached under policy policy-0, now policy-1 is in force"):
        desk.promote(verdict)
    assert desk.champion() is None
    assert desk.last().kind == "promotion_refused"


@pytest.mark.parametrize("measured_against", [None, "model-z"])
def test_a_verdict_against_another_champion_is_refused(desk, measured_against):
    desk.adopt()
    told = f"measured against {measured_against or 'nothing'}, but model-a is live"
    with pytest.raises(Refused, match=told):
        desk.promote(desk.verdict("model-b", measured_against))
    assert desk.last().body["why"].endswith("model-a is live")


def test_a_verdict_against_a_champion_where_there_is_none_is_refused(desk):
    with pytest.raises(Refused, match="measured against model-a, but nothing is live"):
        desk.promote(desk.verdict("model-b", "model-a"))


def test_a_verdict_promotes_once(desk):
    desk.adopt()
    verdict = desk.verdict("model-b", "model-a")
    desk.promote(verdict)
    with pytest.raises(Refused, match="model-b is live already"):
        desk.promote(verdict)
    assert len(desk.store.releases("m", "production")) == 2


def test_an_unknown_verdict_writes_nothing(desk):
    with pytest.raises(NotFound, match="no verdict 'verdict-x'"):
        desk.promote("verdict-x")
    assert desk.store.head()[0] == 0
