"""The project file: unknown keys are errors that name the nearest, overrides merge, versions are checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstay.kernel.errors import BackstayError, NotFound
from backstay.monitor.detectors import DETECTORS
from backstay.settings import GateSettings, Rule, find, json_schema, model_names, parse, read
from backstay.settings.watch import PLUG_INS, known_detectors


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"trian": {}}, "did you mean 'train'"),
        ({"train": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"gate": {"rules": [{"rule": "at_least", "vlaue": 1}]}}, "did you mean 'value'"),
        ({"train": {"epochs": -1}}, "train.epochs"),
        ({"train": {"epochs": "3"}}, "train.epochs: value error, a number belongs here, without quotes"),
        ({"train": {"epochs": True}}, "train.epochs: value error, a number belongs here"),
        ({"retrain": {"auto_promote": "true"}}, "true or false belongs here, without quotes"),
        ({"data": {"split": {"train": 0.9}}}, "must add up to 1"),
        ({"train": {"model": "k_means", "enhance": True}}, "train.enhance needs the encoder of a classifier"),
        ({"task": "regression", "train": {"head": "anomaly"}}, 'train.head = "anomaly" needs the encoder'),
        ({"version": 2}, "reads up to 1"),
        ({"version": 0}, "backstay upgrade"),
        ({"version": "one"}, "'one'"),
        ({"name": "../etc"}, "name"),
        ({"budget": {"false_alarms_per_year": 0}}, "budget.false_alarms_per_year"),
    ],
)
def test_what_is_wrong_is_named(document: dict[str, object], message: str) -> None:
    with pytest.raises(BackstayError) as caught:
        parse(document)
    assert message in str(caught.value)


def test_defaults_are_whole() -> None:
    settings = parse({})
    assert settings.serve.host == "127.0.0.1"
    assert settings.serve.require_key
    assert not settings.retrain.auto_promote
    assert settings.budget.labels_per_month == 50


def test_models_and_environments_override_the_top() -> None:
    document = {
        "name": "a",
        "train": {"epochs": 9, "seed": 4},
        "models": {"b": {"train": {"epochs": 3}}},
        "environments": {"staging": {"serve": {"port": 9000}}},
    }
    assert parse(document, model="b").train.epochs == 3
    assert parse(document, model="b").train.seed == 4
    assert parse(document, model="b").name == "b"
    assert parse(document, model="a").train.epochs == 9
    assert parse(document, environment="staging").serve.port == 9000
    assert parse(document, environment="production").serve.port == 8080
    assert model_names(document) == ["a", "b"]
    with pytest.raises(NotFound, match="no model 'c'"):
        parse(document, model="c")
    with pytest.raises(NotFound, match="no environment 'stagging'"):
        parse(document, environment="stagging")


def test_the_policy_digest_moves_with_every_rule() -> None:
    base = GateSettings()
    assert base.digest == GateSettings().digest
    assert base.digest != GateSettings(minimum_n=101).digest
    assert base.digest != GateSettings(rules=(Rule(rule="at_least", value=0.5),)).digest


def test_a_project_file_is_found_from_below(tmp_path: Path) -> None:
    (tmp_path / "backstay.toml").write_text("version = 1\n")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find(below) == tmp_path.resolve() / "backstay.toml"


def test_no_project_file_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="backstay init"):
        find(tmp_path)
    with pytest.raises(NotFound, match="no project file"):
        read(tmp_path / "backstay.toml")


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "backstay.toml").write_text("name = \n")
    with pytest.raises(BackstayError, match="line 1"):
        read(tmp_path / "backstay.toml")


def test_editors_get_a_schema() -> None:
    assert "budget" in json_schema()["properties"]


BLIND: dict[str, object] = {"log_inputs": "none"}
SEEING = {"detectors": ["prediction", "labelled_error"]}


@pytest.mark.parametrize(
    ("document", "named", "fixes"),
    [
        (
            {"serve": BLIND},
            ['serve.log_inputs = "none"', '"columns" in watch.detectors', "retrain.from_log = true"],
            ['take "columns" out', 'serve.log_inputs = "all"', "retrain.from_log = false"],
        ),
        ({"serve": {"log_inputs": "hashed"}, "retrain": {"from_log": False}}, ['"hashed"', '"columns"'], ["columns"]),
        ({"serve": BLIND, "watch": SEEING}, ["retrain.from_log = true"], ["retrain.from_log = false"]),
        (
            {"serve": BLIND, "watch": SEEING, "retrain": {"auto_promote": True}},
            ["retrain.auto_promote = true", "no inputs"],
            ["auto_promote = false"],
        ),
        (
            {"retrain": {"auto_promote": True, "from_log": False}},
            ["auto_promote", "from_log"],
            ["auto_promote = false"],
        ),
        ({"log": {"keep_days": 13}, "watch": {"maximum_label_age_days": 5}}, ["two windows", "= 7"], ["keep 14 days"]),
        ({"log": {"keep_days": 89}}, ["watch.maximum_label_age_days = 90"], ["keep 90 days", "lower"]),
        ({"log": {"keep_days": 0}}, ["log.keep_days"], []),
        ({"budget": {"weights": {"colums": 2.0}}}, ["budget.weights names 'colums'"], ["did you mean 'columns'?"]),
        ({"watch": {"detectors": ["novlty"]}}, ["watch.detectors names 'novlty'"], ["did you mean 'novelty'?"]),
        ({"watch": {"detectors": []}}, ["watch.detectors is empty"], ["name one or more of columns"]),
        ({"watch": {"planned_share": 0.9}}, ["watch.planned_share", '"engagement"'], ['add "engagement"']),
        ({"watch": {"planned_share": 1.0, "detectors": ["engagement"]}}, ["watch.planned_share"], []),
    ],
)
def test_what_cannot_work_is_refused_with_reason_and_way_out(
    document: dict[str, object], named: list[str], fixes: list[str]
) -> None:
    with pytest.raises(BackstayError) as caught:
        parse(document)
    for text in named:
        assert text in str(caught.value)
    for text in fixes:
        assert text in caught.value.fix


@pytest.mark.parametrize(
    "document",
    [
        {"serve": BLIND, "watch": SEEING, "retrain": {"from_log": False}},
        # No server of ours logs where only predictions are known: what inputs there are came with an import.
        {"serve": BLIND, "task": "predictions"},
        {"serve": BLIND, "task": "predictions", "watch": SEEING, "retrain": {"auto_promote": True}},
        {"retrain": {"from_log": False}},
        {"retrain": {"auto_promote": True}},
        {"watch": {"planned_share": 0.9, "detectors": ["engagement"]}, "budget": {"weights": {"columns": 2.0}}},
        {"log": {"keep_days": 90}},
        {"log": {"keep_days": 14}, "watch": {"maximum_label_age_days": 14}},
    ],
)
def test_what_can_work_is_not_refused(document: dict[str, object]) -> None:
    parse(document)


def test_every_detector_of_the_shelf_may_be_asked_for() -> None:
    assert sorted(known_detectors()) == list(DETECTORS)
    assert DETECTORS.group == PLUG_INS


def test_an_override_is_judged_with_what_it_overrides() -> None:
    document: dict[str, object] = {"environments": {"staging": {"serve": BLIND}}}
    parse(document)
    with pytest.raises(BackstayError, match="log_inputs"):
        parse(document, environment="staging")
