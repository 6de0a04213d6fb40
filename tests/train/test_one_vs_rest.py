"""Sets of labels by one model a label, in one graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from backstay.bundle.model import load
from backstay.bundle.sets import members, texts_of
from backstay.data.schema import conform, infer_schema
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Schema
from backstay.settings import Settings
from backstay.train.one_vs_rest import fit

LABELS = ("art", "law", "war")


def rows(n: int = 500) -> tuple[pa.Table, Schema]:
    """A column for each label, one with gaps, and a category that tells of a label as well."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3))
    there = x + rng.normal(0, 0.4, (n, 3)) > np.array([-0.2, 0.4, 0.7])
    columns: dict[str, Any] = {f"x{i}": x[:, i] for i in range(3)}
    columns["x0"] = pa.array(np.where(rng.random(n) < 0.1, np.nan, x[:, 0]), from_pandas=True)
    columns["kind"] = np.where(x[:, 1] > 1, "much", "little").tolist()
    table = pa.table({**columns, "tags": texts_of(there, LABELS).tolist()})
    schema = infer_schema(table, target="tags", task="multilabel")
    return conform(table, schema), schema


def train(tmp_path: Path, model: str, **more: Any) -> Any:
    table, schema = rows()
    recipe = Settings.model_validate({"task": "multilabel", "train": {"model": model}}).train
    parts = {"train": np.arange(300), "tune": np.arange(300, 400)}
    return fit(table, schema, parts, recipe, classes=LABELS, workdir=tmp_path, **more)


def micro_f1(said: np.ndarray, there: np.ndarray) -> float:
    return float(2 * (said * there).sum() / (said.sum() + there.sum()))


@pytest.mark.parametrize("model", ["logistic_regression", "gradient_boosting", "decision_tree"])
def test_each_model_answers_sets_as_scikit_learn_does(tmp_path: Path, model: str) -> None:
    found = train(tmp_path, model)
    table = rows()[0].slice(400)
    answers, there = load(found.bundle_directory).predict(table), members(table.column("tags").to_pylist(), LABELS)
    assert answers.members is not None
    assert answers.scores is not None
    assert answers.embeddings is None
    assert found.parity <= 1e-5
    cuts = np.array([found.figures["thresholds"][name] for name in LABELS], np.float32)
    np.testing.assert_array_equal(answers.members, answers.scores >= cuts)
    # Beside all that can be said of every row alike.
    alike = max(micro_f1(np.broadcast_to(said, there.shape), there) for said in np.ndindex(2, 2, 2) if any(said))
    assert micro_f1(answers.members, there) > alike + 0.15


def test_a_label_of_every_row_or_of_none_is_refused(tmp_path: Path) -> None:
    there = members(rows()[0].column("tags").to_pylist(), LABELS)
    with pytest.raises(BackstayError, match="every row of the train part has the label 'art'"):
        train(tmp_path, "decision_tree", sample_weight=there[:, 0].astype(float))
    with pytest.raises(BackstayError, match="has the label 'art'"):
        train(tmp_path, "decision_tree", sample_weight=(~there[:, 0]).astype(float))
