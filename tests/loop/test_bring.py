"""A model as a Python object: adopted, succeeded by another one, and answering the same requests throughout."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import backstay
from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import BackstayError
from backstay.loop.adopt import Adopted

START = datetime(2026, 1, 5, tzinfo=UTC)
Maker = Callable[..., pa.Table]


def frame(table: pa.Table) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "tenure": table["tenure"].to_numpy(),
            "plan": pd.Series([np.nan if p is None else p for p in table["plan"].to_pylist()], dtype=object),
        }
    )


def adopted(folder: Path, customers: Maker) -> Adopted:
    pq.write_table(customers(400, 1, "r"), folder / "reference.parquet")
    known = customers(600, 0, "k")
    model = make_pipeline(
        make_column_transformer(
            (SimpleImputer(add_indicator=True), ["tenure"]), (OneHotEncoder(handle_unknown="ignore"), ["plan"])
        ),
        LogisticRegression(max_iter=1000),
    )
    return backstay.adopt(
        model.fit(frame(known), known["stays"].to_pylist()),
        reference=folder / "reference.parquet",
        target="stays",
        row_id="id",
        folder=folder,
        clock=ManualClock(START),
    )


def test_a_pipeline_is_adopted_and_succeeded_by_boosted_trees(tmp_path: Path, customers: Maker) -> None:
    taken = adopted(tmp_path, customers)
    assert taken.release.measured is False
    accuracy = taken.report.find("accuracy")
    assert accuracy is not None
    assert accuracy.value > 0.8

    project = backstay.open(tmp_path, clock=ManualClock(START))
    known = customers(600, 5, "k2")
    pq.write_table(known, tmp_path / "known.parquet")
    trees = HistGradientBoostingClassifier(categorical_features=["plan"], min_samples_leaf=30, max_iter=30)
    offered = project.models.offer(
        trees.fit(frame(known), known["stays"].to_pylist()), trained_on=tmp_path / "known.parquet"
    )
    assert offered.model.origin == "offered"
    assert not [f for f in offered.report.findings if f.check == "signature"]
    assert any(c.against == taken.model.id for c in offered.report.comparisons)
    fresh = customers(50, 9, "f", plans=("a", "b", "new"))
    assert project.models.predict(fresh.drop_columns(["stays"])).rows == 50


def test_what_was_left_by_a_refused_object_is_nothing(tmp_path: Path, customers: Maker) -> None:
    pq.write_table(customers(60, 1, "r"), tmp_path / "reference.parquet")
    with pytest.raises(BackstayError, match="neither an ONNX file"):
        backstay.adopt(object(), reference=tmp_path / "reference.parquet", target="stays", folder=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["reference.parquet"]


def test_hints_beside_a_file_are_refused(tmp_path: Path, customers: Maker) -> None:
    pq.write_table(customers(60, 1, "r"), tmp_path / "reference.parquet")
    with pytest.raises(BackstayError, match="for torch modules"):
        backstay.adopt(
            tmp_path / "model.onnx",
            reference=tmp_path / "reference.parquet",
            target="stays",
            folder=tmp_path,
            outputs=("scores",),
        )


@pytest.mark.slow
def test_a_torch_module_stands_behind_the_inputs_of_a_pipeline(tmp_path: Path) -> None:
    import torch

    rng = np.random.default_rng(0)
    table = pa.table({"a": rng.normal(size=200), "b": rng.normal(size=200)})
    truth = np.where(table["a"].to_numpy() + table["b"].to_numpy() > 0, "yes", "no")
    pq.write_table(table.append_column("y", pa.array(truth.tolist())), tmp_path / "reference.parquet")
    model = LogisticRegression().fit(np.column_stack([table["a"], table["b"]]), truth)
    backstay.adopt(model, reference=tmp_path / "reference.parquet", target="y", folder=tmp_path)
    module = torch.nn.Linear(2, 2)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[-4.0, -4.0], [4.0, 4.0]]))
        module.bias.zero_()
    offered = backstay.open(tmp_path).models.offer(module, example=torch.zeros(2, 2))
    assert not [f for f in offered.report.findings if f.check == "signature"]
    accuracy = offered.report.find("accuracy")
    assert accuracy is not None
    assert accuracy.value == 1.0
