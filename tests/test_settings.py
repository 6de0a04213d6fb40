"""The project file: unknown keys are errors that name the nearest, overrides merge, versions are checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstay.kernel.errors import BackstayError, NotFound
from backstay.settings import GateSettings, Rule, find, json_schema, model_names, parse, read


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"trian": {}}, "did you mean 'train'"),
        ({"train": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"gate": {"rules": [{"rule": "at_least", "vlaue": 1}]}}, "did you mean 'value'"),
        ({"train": {"epochs": -1}}, "train.epochs"),
        ({"data": {"split": {"train": 0.9}}}, "must add up to 1"),
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
