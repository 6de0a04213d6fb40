"""Columns that tell nothing: empty, always the same, or empty until after the training rows. Every model bears them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from backstay.bundle.model import load
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import TrainSettings
from backstay.train import classical, regression

ROWS, LEARNED = 220, 120
PARTS = {"train": np.arange(LEARNED), "tune": np.arange(LEARNED, 170)}
CLASSIFIERS = ("decision_tree", "gradient_boosting", "k_means", "lightgbm", "logistic_regression", "xgboost")
REGRESSORS = ("decision_tree", "gradient_boosting", "lightgbm", "ridge", "xgboost")
KINDS = {
    "told": ColumnKind.NUMBER,
    "empty": ColumnKind.NUMBER,
    "same": ColumnKind.NUMBER,
    "late": ColumnKind.NUMBER,
    "empty_name": ColumnKind.CATEGORY,
    "same_name": ColumnKind.CATEGORY,
    "late_name": ColumnKind.CATEGORY,
}
SMALL = {"gradient_boosting": {"trees": 20}, "lightgbm": {"trees": 20, "learning_rate": 0.2}, "xgboost": {"trees": 20}}


def rows(features: tuple[str, ...], target: ColumnKind) -> tuple[pa.Table, Schema]:
    rng = np.random.default_rng(0)
    told = rng.normal(size=ROWS)
    later = np.arange(ROWS) >= LEARNED
    columns = {
        "told": told,
        "empty": pa.nulls(ROWS, pa.float64()),
        "same": np.full(ROWS, 7.5),
        "late": pa.array(np.where(later, 1e3 * rng.normal(size=ROWS), np.nan), from_pandas=True),
        "empty_name": pa.nulls(ROWS, pa.string()),
        "same_name": ["x"] * ROWS,
        "late_name": [f"n{i % 3}" if there else None for i, there in enumerate(later)],
        "y": 3 * told if target is ColumnKind.NUMBER else np.where(told > 0, "yes", "no").tolist(),
    }
    known = tuple(Column(name, kind) for name, kind in KINDS.items())
    return pa.table(columns), Schema((*known, Column("y", target)), features, target="y")


def recipe_of(model: str) -> TrainSettings:
    if model in ("lightgbm", "xgboost"):
        try:
            import_module(model)
        except (ImportError, OSError):  # LightGBM needs libgomp of the system
            pytest.skip(f"{model} cannot be loaded here")
    return TrainSettings(model=model, model_options=SMALL.get(model, {}))


@pytest.mark.parametrize("model", CLASSIFIERS)
@pytest.mark.parametrize("features", [tuple(KINDS), ("told", "empty"), ("same", "late")])
def test_classes_beside_columns_that_tell_nothing(model: str, features: tuple[str, ...], tmp_path: Path) -> None:
    table, schema = rows(features, ColumnKind.CATEGORY)
    found = classical.fit(table, schema, PARTS, recipe_of(model), classes=("no", "yes"), workdir=tmp_path)
    assert found.parity <= 1e-6
    later = table.slice(170)
    answers = load(found.bundle_directory).predict(later)
    assert np.isfinite(answers.scores).all()
    if "told" in features and model != "k_means":
        assert np.mean(answers.labels == np.array(later.column("y").to_pylist())) > 0.9


@pytest.mark.parametrize("model", REGRESSORS)
@pytest.mark.parametrize("features", [tuple(KINDS), ("told", "empty"), ("same", "late")])
def test_numbers_beside_columns_that_tell_nothing(model: str, features: tuple[str, ...], tmp_path: Path) -> None:
    table, schema = rows(features, ColumnKind.NUMBER)
    found = regression.fit(table, schema, PARTS, recipe_of(model), workdir=tmp_path)
    assert found.parity <= 1e-5
    later = table.slice(170)
    numbers = load(found.bundle_directory).predict(later).numbers
    assert np.isfinite(numbers).all()
    if "told" in features:
        truth = later.column("y").to_numpy()
        assert np.mean(np.abs(numbers - truth)) < 0.4 * np.mean(np.abs(truth))
