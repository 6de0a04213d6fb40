from __future__ import annotations

import pytest

from backstay.kernel.records import LabelUse
from backstay.labels.trust import is_trusted, use_of
from backstay.settings import LabelSettings

SETTINGS = LabelSettings(trusted_sources=("review", "clinic"), census_sources=("billing",))
KEYS = [f"group-{i}" for i in range(4000)]


def shares(purpose: str | None, source: str) -> dict[LabelUse, float]:
    uses = [use_of(key, purpose, source, SETTINGS) for key in KEYS]
    return {use: uses.count(use) / len(uses) for use in LabelUse}


def test_only_sources_that_the_project_file_names_are_trusted() -> None:
    assert [is_trusted(s, SETTINGS) for s in ("review", "clinic", "billing")] == [True] * 3
    assert not any(is_trusted(s, SETTINGS) for s in ("key:review", "Review", "", "key:billing", "review "))


@pytest.mark.parametrize("purpose", [None, "standing", "estimate", "retrain"])
def test_a_stranger_can_only_ever_train(purpose: str | None) -> None:
    assert shares(purpose, "key:scanner")[LabelUse.TRAIN] == 1.0


@pytest.mark.parametrize("purpose", ["standing", "estimate", "window"])
def test_draws_that_speak_for_traffic_or_their_window_are_neither_learned_from_nor_judge(purpose: str) -> None:
    assert shares(purpose, "review")[LabelUse.STANDING] == 1.0


@pytest.mark.parametrize("purpose", ["retrain", None])
def test_other_trusted_labels_are_dealt_to_training_and_gate(purpose: str | None) -> None:
    found = shares(purpose, "review")
    assert found[LabelUse.STANDING] == 0.0
    assert found[LabelUse.TRAIN] == pytest.approx(SETTINGS.train_share, abs=0.03)


def test_a_source_that_labels_every_row_feeds_all_three() -> None:
    found = shares(None, "billing")
    assert found[LabelUse.STANDING] == pytest.approx(1 / 3, abs=0.03)
    assert found[LabelUse.TRAIN] == pytest.approx(1 / 3, abs=0.03)


def test_what_a_census_source_was_asked_for_to_train_with_is_no_part_of_the_standing_sample() -> None:
    assert shares("retrain", "billing")[LabelUse.STANDING] == 0.0


def test_the_share_for_training_is_the_one_that_is_set() -> None:
    most = LabelSettings(trusted_sources=("review",), train_share=0.9)
    uses = [use_of(key, None, "review", most) for key in KEYS]
    assert uses.count(LabelUse.TRAIN) / len(uses) == pytest.approx(0.9, abs=0.03)


def test_the_use_of_a_row_never_changes() -> None:
    for key in KEYS[:200]:
        first = use_of(key, None, "review", SETTINGS)
        assert first is use_of(key, None, "review", SETTINGS)
        assert first is use_of(key, "retrain", "clinic", SETTINGS)
