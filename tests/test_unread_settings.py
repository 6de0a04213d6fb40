"""Settings of [train] that were set and that nobody reads are refused; what was not set, or means nothing, is not."""

from __future__ import annotations

from typing import Any

import pytest

from backstay.kernel.errors import BackstayError
from backstay.settings import TrainSettings, parse
from backstay.train.augment import checked

BOOSTING = {"model": "gradient_boosting"}


@pytest.mark.parametrize(
    "key",
    [
        {"objective": "supcon"},
        {"head": "knn"},
        {"head_options": {"none_of_these": 0.05}},
        {"encoder": "mlp"},
        {"encoder_options": {"wdth": 3}},
        {"objective_options": {"nonsense": 2}},
        {"device": "cuda"},
        {"flip": True},
        {"half": True},
        {"early_stopping": "knn"},
    ],
)
@pytest.mark.parametrize("task", ["classification", "regression", "multilabel"])
def test_a_model_without_an_encoder_reads_nothing_about_encoders(key: dict[str, Any], task: str) -> None:
    with pytest.raises(BackstayError, match=f"train.{next(iter(key))} is about encoders") as caught:
        parse({"task": task, "train": {**BOOSTING, **key}})
    assert 'set train.model = "encoder"' in str(caught.value.fix)


@pytest.mark.parametrize("task", ["regression", "multilabel"])
@pytest.mark.parametrize(
    "key", [{"early_stopping": "knn"}, {"samples_per_class": 4}, {"quarter_turns": True}, {"temperature": 0.5}]
)
def test_what_is_about_classes_is_refused_where_there_are_none(key: dict[str, Any], task: str) -> None:
    with pytest.raises(BackstayError, match=f'train.{next(iter(key))} is about classes, and task = "{task}"'):
        parse({"task": task, "train": key})
    parse({"train": key})


@pytest.mark.parametrize("key", [{"flip": True}, {"augmentation_options": {"moves": 2.0}}])
def test_changes_that_are_never_made_are_refused(key: dict[str, Any]) -> None:
    with pytest.raises(BackstayError, match='augmentation is 0, as is usual where task = "regression"'):
        parse({"task": "regression", "train": key})
    with pytest.raises(BackstayError, match="augmentation is 0: no row is changed"):
        parse({"train": {**key, "augmentation": 0}})
    assert parse({"task": "regression", "train": {**key, "augmentation": 1.0}}).train.augmentation == 1.0
    parse({"task": "multilabel", "train": key})


def test_options_of_a_model_without_an_encoder_are_refused_under_an_encoder() -> None:
    with pytest.raises(BackstayError, match=r"train.model_options is about models without an encoder"):
        parse({"train": {"model_options": {"trees": 3}}})


def test_several_are_told_together() -> None:
    with pytest.raises(BackstayError, match=r"train.objective and train.head are about encoders"):
        parse({"train": {**BOOSTING, "head": "knn", "objective": "supcon"}})


@pytest.mark.parametrize(
    "document",
    [
        {"train": {**BOOSTING, "model_options": {"trees": 3}, "seed": 1, "threads": 2}},
        {"train": {**BOOSTING, "epochs": 3, "dimension": 8, "learning_rate": 0.02, "batch_size": 64}},
        {"train": {**BOOSTING, "device": "auto", "flip": False, "objective": "cross_entropy", "head_options": {}}},
        {"task": "regression"},
        {"task": "regression", "train": {"early_stopping": "loss", "augmentation": 0.0, "flip": False}},
        {"task": "multilabel", "train": {"early_stopping": "auto"}},
        {"train": {"head": "knn"}},
        {"train": {"head": "anomaly"}},
        {"task": "predictions", "train": {**BOOSTING, "head": "knn"}},
    ],
)
def test_defaults_and_what_changes_nothing_stay_valid(document: dict[str, Any]) -> None:
    parse(document)


def test_an_override_of_another_kind_is_not_blamed_for_what_stands_at_the_top() -> None:
    document = {
        "train": {"objective": "supcon", "head": "knn"},
        "models": {"trees": {"train": {"model": "decision_tree"}}, "bad": {"train": {**BOOSTING, "head": "knn"}}},
        "environments": {"lab": {"train": {"flip": True}}},
    }
    assert parse(document, model="trees").train.model == "decision_tree"
    with pytest.raises(BackstayError, match=r"train.head is about encoders"):
        parse(document, model="bad")
    with pytest.raises(BackstayError, match=r"train.flip is about encoders"):
        parse(document, model="trees", environment="lab")


@pytest.mark.parametrize("kind", ["table", "text", "vector", "codes"])
def test_only_images_are_mirrored(kind: str) -> None:
    with pytest.raises(BackstayError, match=f"train.flip mirrors images, and the rows are of the kind {kind}"):
        checked({}, kind, True)
    assert checked({}, kind, False) is not None
    assert checked({}, "image", True).flip


def test_what_it_knows_are_keys_that_there_are() -> None:
    from backstay.settings import unread

    known = set(TrainSettings.model_fields)
    for names in (unread.PLAIN, unread.LENGTHS, unread.OF_CLASSES, unread.NOTHING, unread.ELSEWHERE):
        assert set(names) <= known
