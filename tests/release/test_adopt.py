from __future__ import annotations

import pytest

from backstay.kernel.errors import Refused
from backstay.kernel.records import ReleaseKind


def test_an_adopted_model_is_live_and_marked_unmeasured(desk):
    release = desk.adopt()
    assert desk.champion() == release
    assert (release.kind, release.measured, release.verdict_id) == (ReleaseKind.ADOPTED, False, None)
    assert release.reference_id == "reference-0"
    assert desk.last().body["measured"] is False
    assert desk.store.verify() == []


def test_nothing_slips_past_the_gate_by_being_adopted(desk):
    first = desk.adopt()
    with pytest.raises(Refused, match="has release 1 in 'production' already"):
        desk.adopt("model-b")
    assert desk.champion() == first
    assert desk.store.head()[0] == 1
