"""An encoder with a number at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from backstay.bundle.model import load
from backstay.data.schema import conform, infer_schema
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Schema
from backstay.settings import Settings, TrainSettings
from backstay.train.value_loop import fit


def rows(seed: int = 0, n: int = 360) -> tuple[pa.Table, Schema]:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n), rng.choice(["x", "y"], n)
    table = pa.table({"a": a, "b": b.tolist(), "y": 500 + 40 * a + np.where(b == "x", 60, 0) + rng.normal(0, 5, n)})
    schema = infer_schema(table, target="y", kinds={"y": "number"}, task="regression")
    return conform(table, schema), schema


def recipe(**changes: Any) -> TrainSettings:
    usual = {"dimension": 8, "epochs": 25, "learning_rate": 0.02, "batch_size": 32, **changes}
    return Settings.model_validate({"task": "regression", "train": usual}).train


def train(tmp_path: Path, **changes: Any) -> Any:
    table, schema = rows()
    parts = {"train": np.arange(270), "tune": np.arange(270, 360)}
    return fit(table, schema, parts, recipe(**changes), workdir=tmp_path)


def test_it_learns_answers_in_the_unit_and_gives_an_embedding(tmp_path: Path) -> None:
    found = train(tmp_path)
    table, _ = rows(1)
    answers = load(found.bundle_directory).predict(table)
    truth = table.column("y").to_numpy()
    assert answers.numbers is not None
    assert answers.embeddings is not None
    assert float(np.mean(np.abs(answers.numbers - truth))) < 0.35 * float(np.std(truth))
    assert answers.embeddings.shape == (360, 8)
    assert found.parity <= 1e-4


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_bundle(tmp_path: Path) -> None:
    first, second = (train(tmp_path / name, epochs=2) for name in ("a", "b"))
    assert first.model_id == second.model_id


@pytest.mark.slow
def test_squared_errors_are_an_objective_too(tmp_path: Path) -> None:
    assert train(tmp_path, objective="squared", epochs=3).figures["tune_mae"] < 60


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objective": "supcon"}, "'supcon' learns classes"),
        ({"head": "linear"}, "'linear' answers classes"),
    ],
)
def test_what_speaks_of_classes_is_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(BackstayError, match=said):
        train(tmp_path, **changes)
