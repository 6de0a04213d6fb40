from __future__ import annotations

import pytest

from backstay.kernel.errors import BackstayError, NotFound, Refused
from backstay.kernel.records import ReleaseKind


@pytest.fixture
def three(desk):
    """model-a, then model-b, then model-c."""
    desk.adopt("model-a")
    for old, new in (("model-a", "model-b"), ("model-b", "model-c")):
        desk.promote(desk.verdict(new, old), reference=f"reference-{new}")
    return desk


def test_back_to_the_previous_model_with_its_reference_and_forth_again(three):
    back = three.rollback()
    assert (back.model_id, back.sequence, back.kind) == ("model-b", 4, ReleaseKind.ROLLBACK)
    assert (back.reference_id, back.measured, back.actor) == ("reference-model-b", True, "bob")
    assert three.champion() == back
    forth = three.rollback()
    assert (forth.model_id, forth.reference_id, forth.previous) == ("model-c", "reference-model-c", back.id)
    assert three.store.verify() == []


def test_back_to_a_named_release(three):
    first = three.store.releases("m", "production")[0]
    back = three.rollback(to=first.id)
    assert (back.model_id, back.reference_id, back.measured) == ("model-a", "reference-0", False)
    body = three.last().body
    assert (body["to"], body["previous"], body["verdict"]) == (first.id, back.previous, None)
    assert body["reason"] == "it got worse"


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_reason_is_needed(three, reason):
    with pytest.raises(BackstayError, match="needs a reason"):
        three.rollback(reason=reason)
    assert three.champion().model_id == "model-c"


def test_what_is_live_or_unknown_is_refused(three):
    with pytest.raises(BackstayError, match="release 3 is live already"):
        three.rollback(to=three.champion().id)
    with pytest.raises(NotFound, match="no release 'release-x'"):
        three.rollback(to="release-x")
    assert len(three.store.releases("m", "production")) == 3


def test_there_must_be_something_to_go_back_to(desk):
    with pytest.raises(NotFound, match="has no release"):
        desk.rollback()
    desk.adopt()
    with pytest.raises(NotFound, match="nothing to go back to"):
        desk.rollback()
    assert desk.store.head()[0] == 1


def test_a_promotion_after_a_rollback_needs_a_verdict_against_what_is_live_now(three):
    stale = three.verdict("model-d", "model-c")
    three.rollback()
    with pytest.raises(BackstayError, match="but model-b is live"):
        three.promote(stale)


def test_an_unfit_model_is_refused_on_record(three):
    with pytest.raises(Refused, match="nobody signed it"):
        three.rollback(unfit=lambda model_id: (f"nobody signed it: {model_id}", "sign it"))
    assert [row.kind for row in three.store.rows()][-1] == "rollback_refused"
    assert three.store.verify() == []
