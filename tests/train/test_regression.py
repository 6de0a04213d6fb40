"""Models that answer a number: what the bundle says is what was fitted, in the target's unit."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from backstay.bundle.model import load
from backstay.bundle.numbers import target_values
from backstay.data.schema import conform, infer_schema
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Schema
from backstay.settings import TrainSettings
from backstay.train.convert.parity import UNSEEN
from backstay.train.estimators.numbers import REGRESSORS
from backstay.train.regression import fit


def loads(name: str) -> bool:
    """Whether the library behind this model is here and can be loaded (LightGBM needs libgomp of the system)."""
    try:
        return name not in ("lightgbm", "xgboost") or bool(import_module(name))
    except (ImportError, OSError):
        return False


MODELS = [
    pytest.param(name, marks=pytest.mark.skipif(not loads(name), reason=f"{name} cannot be loaded here"))
    for name in sorted(REGRESSORS.built_in)
]
BOOSTED = [case for case in MODELS if case.values[0] in ("lightgbm", "xgboost")]


def rows(n: int = 400, seed: int = 0, unit: float = 1000.0) -> tuple[pa.Table, Schema]:
    """A price of a size, a place and a gap now and then."""
    rng = np.random.default_rng(seed)
    size, place = rng.uniform(20, 150, n), rng.choice(["north", "south", "sea"], n)
    worth = size * 3 + np.where(place == "sea", 90, 0) + rng.normal(0, 10, n)
    gaps = rng.random(n) < 0.1
    table = pa.table(
        {
            "size": pa.array(np.where(gaps, np.nan, size), from_pandas=True),
            "place": place.tolist(),
            "value": worth * unit,
        }
    )
    schema = infer_schema(table, target="value", kinds={"value": "number"}, task="regression")
    return conform(table, schema), schema


def trained(tmp_path: Path, model: str, unit: float = 1000.0, **options: Any) -> Any:
    table, schema = rows(unit=unit)
    parts = {"train": np.arange(300), "tune": np.arange(300, 400)}
    recipe = TrainSettings(model=model, model_options=options)
    return fit(table, schema, parts, recipe, workdir=tmp_path)


@pytest.mark.parametrize("model", MODELS)
def test_a_bundle_answers_in_the_unit_of_the_target(model: str, tmp_path: Path) -> None:
    found = trained(tmp_path, model)
    table, _ = rows(seed=1)
    loaded = load(found.bundle_directory)
    answers = loaded.predict(table)
    truth = table.column("value").to_numpy()
    assert answers.numbers is not None
    assert answers.scores is None
    assert float(np.mean(np.abs(answers.numbers - truth))) < 0.45 * float(np.mean(np.abs(truth - np.median(truth))))
    assert [float(text) for text in answers.labels] == answers.numbers.tolist()
    assert found.parity <= 1e-5
    assert (loaded.manifest.task, loaded.manifest.format_version) == ("regression", 4)


@pytest.mark.parametrize("model", MODELS)
def test_gaps_and_values_that_nobody_has_seen_are_answered(model: str, tmp_path: Path) -> None:
    loaded = load(trained(tmp_path, model).bundle_directory)
    strange = pa.table({"size": pa.array([None, 50.0, None]), "place": ["sea", UNSEEN, None]})
    numbers = loaded.predict(strange).numbers
    assert numbers is not None
    assert np.isfinite(numbers).all()


def test_the_answers_scale_with_the_unit(tmp_path: Path) -> None:
    table, _ = rows(seed=2)
    small, large = (load(trained(tmp_path, "ridge", unit=u).bundle_directory).predict(table) for u in (1.0, 1e6))
    assert small.numbers is not None
    assert large.numbers is not None
    np.testing.assert_allclose(large.numbers, small.numbers * 1e6, rtol=1e-9)


def test_the_same_recipe_gives_the_same_bundle(tmp_path: Path) -> None:
    first, second = (trained(tmp_path / name, "gradient_boosting") for name in ("a", "b"))
    assert first.model_id == second.model_id


def test_absolute_error_resists_a_wild_target_better(tmp_path: Path) -> None:
    table, schema = rows()
    wild = table.column("value").to_numpy().copy()
    wild[:12] = 1e9
    table = table.set_column(table.column_names.index("value"), "value", pa.array(wild))
    parts = {"train": np.arange(300), "tune": np.arange(300, 400)}
    check, _ = rows(seed=3)
    truth = check.column("value").to_numpy()
    errors = {}
    for loss in ("squared_error", "absolute_error"):
        recipe = TrainSettings(model="gradient_boosting", model_options={"loss": loss})
        found = fit(table, schema, parts, recipe, workdir=tmp_path)
        numbers = load(found.bundle_directory).predict(check).numbers
        assert numbers is not None
        errors[loss] = float(np.median(np.abs(numbers - truth)))
    assert errors["absolute_error"] <= errors["squared_error"]


def test_an_option_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackstayError, match="depht"):
        trained(tmp_path, "decision_tree", depht=3)


def test_a_constant_target_is_refused(tmp_path: Path) -> None:
    table, schema = rows()
    table = table.set_column(table.column_names.index("value"), "value", pa.array(np.full(400, 7.0)))
    parts = {"train": np.arange(300), "tune": np.arange(300, 400)}
    with pytest.raises(BackstayError, match="is 7 in all rows"):
        fit(table, schema, parts, TrainSettings(model="ridge"), workdir=tmp_path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1.0, None, 2.0], "missing first in row 2"),
        ([1.0, 2.0, float("nan")], "missing first in row 3"),
        ([float("inf"), 1.0, 2.0], "infinite first in row 1"),
        (["a", "b", "c"], "not numbers"),
        ([True, False, True], "not numbers"),
    ],
)
def test_a_target_that_is_no_number_is_refused(values: list[Any], said: str) -> None:
    with pytest.raises(BackstayError, match=said):
        target_values(pa.chunked_array([values]), "price")


def test_two_numbers_are_classes() -> None:
    table = pa.table({"a": [1.0, 2.0, 3.0, 4.0], "y": [0.0, 1.0, 0.0, 1.0]})
    with pytest.raises(BackstayError, match="2 different numbers"):
        infer_schema(table, target="y", task="regression")
