"""Models without an encoder: what they learn, that the graph answers as scikit-learn does, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from backstay.bundle.manifest import InputSpec
from backstay.bundle.model import load
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import TrainSettings
from backstay.train.classical import fit
from backstay.train.convert import classifiers
from backstay.train.convert.trees import Split
from backstay.train.estimators import ESTIMATORS
from backstay.train.work import Trained

PARTS = {"train": np.arange(400), "tune": np.arange(400, 500)}


def loads(name: str) -> bool:
    """Whether the library behind this model is here and can be loaded (LightGBM needs libgomp of the system)."""
    try:
        return name not in ("lightgbm", "xgboost") or bool(import_module(name))
    except (ImportError, OSError):
        return False


MODELS = [
    pytest.param(name, marks=pytest.mark.skipif(not loads(name), reason=f"{name} cannot be loaded here"))
    for name in sorted(ESTIMATORS.built_in)
]


def train(sheet, tmp_path: Path, model: str, classes=("no", "yes"), parts=PARTS, **more) -> Trained:
    table, schema = sheet
    options = more.pop("options", {})
    recipe = TrainSettings(model=model, model_options=options)
    return fit(table, schema, parts, recipe, classes=classes, workdir=tmp_path, **more)


@pytest.mark.parametrize("model", MODELS)
def test_tables_are_learned_and_exported_whole(sheet, tmp_path: Path, model: str) -> None:
    trained = train(sheet, tmp_path, model)
    assert trained.parity <= 1e-6
    assert trained.figures["train_rows"] == 400
    loaded = load(trained.bundle_directory, expected_id=trained.model_id)
    assert [(o.name, o.role) for o in loaded.manifest.outputs] == [("label", "label"), ("scores", "scores")]
    held_out = sheet[0].slice(500)
    answers = loaded.predict(held_out)
    truth = np.array(held_out["y"].to_pylist())
    majority = max(np.mean(truth == "no"), np.mean(truth == "yes"))
    assert np.mean(answers.labels == truth) > (0.9 if model == "gradient_boosting" else majority + 0.05)
    assert answers.embeddings is None
    np.testing.assert_allclose(answers.scores.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_odd_rows_are_answered(sheet, tmp_path: Path, model: str) -> None:
    trained = train(sheet, tmp_path, model)
    odd = pa.table(
        {
            "a": [None, 1e300, 0.0],
            "embedding": pa.array([None, 1.0, -1e300]),
            "label": [None, "never seen", "ü"],
            "d": [None, True, False],
        }
    )
    answers = load(trained.bundle_directory).predict(odd)
    assert set(answers.labels) <= {"no", "yes"}
    assert np.isfinite(answers.scores).all()


@pytest.mark.parametrize("model", MODELS)
def test_the_same_recipe_gives_the_same_model(sheet, tmp_path: Path, model: str) -> None:
    first, again = (train(sheet, tmp_path / name, model).model_id for name in ("a", "b"))
    assert first == again


@pytest.mark.parametrize("model", MODELS)
def test_three_classes_of_which_one_has_no_rows(sheet, tmp_path: Path, model: str) -> None:
    trained = train(sheet, tmp_path, model, classes=("maybe", "no", "yes"))
    loaded = load(trained.bundle_directory)
    scores = loaded.predict(sheet[0].slice(500)).scores
    assert loaded.classes == ("maybe", "no", "yes")
    assert scores[:, 0].max() < 0.01


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("features", [("a",), ("label",)])
def test_numbers_alone_and_categories_alone(sheet, tmp_path: Path, model: str, features: tuple[str, ...]) -> None:
    table, schema = sheet
    narrow = Schema(schema.columns, features, target="y")
    trained = train((table, narrow), tmp_path, model, options={"clusters": 3} if model == "k_means" else {})
    assert load(trained.bundle_directory).manifest.columns == features


def test_rows_of_weight_nothing_are_not_learned_from(sheet, tmp_path: Path) -> None:
    table, schema = sheet
    y = np.array(table["y"].to_pylist())
    lies = table.set_column(4, "y", pa.array(np.where((np.arange(600) < 200) & (y == "no"), "yes", y).tolist()))
    weights = np.where(np.arange(600) < 200, 0.0, 1.0)
    weighed = train((lies, schema), tmp_path, "decision_tree", sample_weight=weights)
    without = train(sheet, tmp_path, "decision_tree", parts={**PARTS, "train": np.arange(200, 400)})
    assert weighed.model_id == without.model_id


def test_scores_are_calibrated(sheet, tmp_path: Path) -> None:
    """A single deep tree is sure of itself; on the tune rows its mean score must equal the share of the class."""
    trained = train(sheet, tmp_path, "decision_tree", options={"depth": 12, "leaf_rows": 1})
    tune = sheet[0].slice(400, 100)
    scores = load(trained.bundle_directory).predict(tune).scores
    share = np.mean(np.array(tune["y"].to_pylist()) == "yes")
    assert scores[:, 1].mean() == pytest.approx(share, abs=0.02)


def test_trees_after_the_best_are_left_out(sheet, tmp_path: Path) -> None:
    trained = train(sheet, tmp_path, "gradient_boosting", options={"learning_rate": 0.5, "patience": 30})
    few = int(trained.figures["trees"])
    assert 0 < few < 100
    shorter = train(sheet, tmp_path / "b", "gradient_boosting", options={"learning_rate": 0.5, "trees": few})
    assert shorter.figures["tune_loss"] == pytest.approx(trained.figures["tune_loss"])


def test_an_unknown_model_or_option_names_the_nearest(sheet, tmp_path: Path) -> None:
    with pytest.raises(BackstayError) as caught:
        train(sheet, tmp_path, "gradient_bosting")
    assert "gradient_boosting" in caught.value.fix
    with pytest.raises(BackstayError) as caught:
        train(sheet, tmp_path, "gradient_boosting", options={"leafs": 3})
    assert "leaves" in caught.value.fix


def test_what_it_cannot_read_is_refused(scans, sheet, tmp_path: Path) -> None:
    with pytest.raises(BackstayError, match="'image' is image"):
        train(scans, tmp_path, "decision_tree", classes=tuple("0123456789"))
    table, schema = sheet
    infinite = table.set_column(0, "a", pa.array([np.inf, *table["a"].to_pylist()[1:]]))
    with pytest.raises(BackstayError, match="'a' holds infinite"):
        train((infinite, schema), tmp_path, "logistic_regression")


def test_one_class_is_refused(sheet, tmp_path: Path) -> None:
    table, schema = sheet
    alike = table.set_column(4, "y", pa.array(["yes"] * table.num_rows))
    with pytest.raises(BackstayError, match="1 class"):
        train((alike, schema), tmp_path, "decision_tree")


def test_a_graph_that_differs_is_never_written(sheet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing values sent the other way: the planted rows must show it even where the tune rows have none."""
    honest = classifiers.of_predictor

    def astray(predictor, categories):
        nodes = honest(predictor, categories)
        return [replace(n, missing_yes=not n.missing_yes) if isinstance(n, Split) else n for n in nodes]

    monkeypatch.setattr(classifiers, "of_predictor", astray)
    table, schema = sheet
    whole = table.filter(pa.array(np.isfinite(np.array(table["embedding"].to_pylist(), dtype=float))))
    parts = {"train": np.arange(250), "tune": np.arange(250, 350)}
    with pytest.raises(BackstayError, match="differs from scikit-learn"):
        train((whole, schema), tmp_path, "gradient_boosting", parts=parts)
    assert not list(tmp_path.rglob("*.onnx"))


@pytest.mark.parametrize("model", ["gradient_boosting", "decision_tree"])
def test_behind_the_inputs_of_a_champion_that_rounds(tmp_path: Path, model: str) -> None:
    """Numbers that differ in the ninth digit, and a live model that takes them as float32."""
    rng = np.random.default_rng(2)
    a, b = 1e8 + rng.integers(0, 40, 500) / 8, rng.normal(size=500)
    y = np.where((a - 1e8) / 5 - 0.5 + b > 0, "yes", "no")
    table = pa.table({"a": a, "b": b, "y": y.tolist()})
    columns = (Column("a", ColumnKind.NUMBER), Column("b", ColumnKind.NUMBER), Column("y", ColumnKind.CATEGORY))
    wanted = (InputSpec("X", "FP32", (-1, 2), "matrix", ("b", "a")),)
    schema = Schema(columns, ("a", "b"), target="y")
    exact = train((table, schema), tmp_path, model)
    assert np.mean(load(exact.bundle_directory).predict(table).labels == y) > 0.85
    trained = train((table, schema), tmp_path, model, answering=wanted)
    assert load(trained.bundle_directory).manifest.inputs == wanted


def test_clusters_are_measured_on_the_tune_rows(sheet, tmp_path: Path) -> None:
    table, schema = sheet
    # The labels are the clusters themselves: rows far apart on one number.
    side = np.arange(600) % 2
    apart = table.set_column(0, "a", pa.array(side * 50.0 + np.random.default_rng(0).normal(size=600)))
    apart = apart.set_column(4, "y", pa.array(np.where(side == 1, "yes", "no").tolist()))
    narrow = Schema(schema.columns, ("a",), target="y")
    right = train((apart, narrow), tmp_path, "k_means", options={"clusters": 2}).figures
    assert right["tune_nmi"] == right["tune_adjusted_rand"] == pytest.approx(1.0)
    assert right["tune_silhouette"] > 0.9
    noise = apart.set_column(4, "y", pa.array(np.random.default_rng(1).choice(["no", "yes"], 600).tolist()))
    wrong = train((noise, narrow), tmp_path / "b", "k_means", options={"clusters": 2}).figures
    assert abs(wrong["tune_adjusted_rand"]) < 0.1
    assert wrong["tune_silhouette"] > 0.9
