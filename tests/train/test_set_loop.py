"""An encoder that answers sets of labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import make_multilabel_classification

from backstay.bundle.model import load
from backstay.bundle.sets import members, texts_of
from backstay.data.schema import conform, infer_schema
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Schema
from backstay.settings import Settings, TrainSettings
from backstay.train.set_loop import fit

LABELS = ("art", "law", "war", "zoo")


def rows(n: int = 500) -> tuple[pa.Table, Schema]:
    x, y = make_multilabel_classification(n, n_features=8, n_classes=4, n_labels=2, random_state=0)
    columns: dict[str, Any] = {f"x{i}": x[:, i] for i in range(x.shape[1])}
    table = pa.table({**columns, "tags": texts_of(y.astype(bool), LABELS).tolist()})
    schema = infer_schema(table, target="tags", task="multilabel")
    return conform(table, schema), schema


def recipe(**changes: Any) -> TrainSettings:
    usual = {"dimension": 8, "epochs": 20, "learning_rate": 0.02, "batch_size": 64, "augmentation": 0.0, **changes}
    return Settings.model_validate({"task": "multilabel", "train": usual}).train


def train(tmp_path: Path, **changes: Any) -> Any:
    table, schema = rows()
    weight = changes.pop("sample_weight", None)
    parts = {"train": np.arange(300), "tune": np.arange(300, 400)}
    return fit(table, schema, parts, recipe(**changes), classes=LABELS, workdir=tmp_path, sample_weight=weight)


def micro_f1(said: np.ndarray, there: np.ndarray) -> float:
    return float(2 * (said & there).sum() / (said.sum() + there.sum()))


def test_it_answers_sets_better_than_saying_everything(tmp_path: Path) -> None:
    found = train(tmp_path)
    model, (table, _) = load(found.bundle_directory), rows()
    held_out = table.slice(400)
    answers, there = model.predict(held_out), members(held_out.column("tags").to_pylist(), LABELS)
    assert answers.members is not None
    assert answers.scores is not None
    assert model.manifest.task == "multilabel"
    assert model.manifest.format_version == 5
    assert micro_f1(answers.members, there) > micro_f1(np.ones_like(there), there) + 0.05
    assert answers.labels.tolist() == texts_of(answers.members, LABELS).tolist()
    cuts = np.array([found.figures["thresholds"][name] for name in LABELS])
    np.testing.assert_array_equal(answers.members, answers.scores >= cuts.astype(np.float32))
    assert len(set(cuts.tolist())) > 1
    assert answers.embeddings is not None
    assert found.parity <= 1e-4


def test_rows_of_no_weight_teach_nothing(tmp_path: Path) -> None:
    weight = np.ones(500)
    weight[members(rows()[0].column("tags").to_pylist(), LABELS)[:, 2]] = 0.0
    with pytest.raises(BackstayError, match="has the label 'war'"):
        train(tmp_path, sample_weight=weight)


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_bundle(tmp_path: Path) -> None:
    first, second = (train(tmp_path / name, epochs=2) for name in ("a", "b"))
    assert first.model_id == second.model_id


@pytest.mark.parametrize(
    ("changes", "fix"), [({"objective": "cross_entropy"}, "binary_cross_entropy"), ({"head": "linear"}, "labels")]
)
def test_what_learns_one_class_is_refused(tmp_path: Path, changes: dict[str, str], fix: str) -> None:
    with pytest.raises(BackstayError, match=fix):
        train(tmp_path, **changes)
