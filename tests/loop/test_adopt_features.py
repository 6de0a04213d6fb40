"""A model that names no columns and reads fewer than the rows have is told which, in its order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.cli.main import run
from backstay.kernel.errors import BackstayError


def rows(n: int = 200) -> pa.Table:
    """The truth is the sign of a + b; c is noise that the model does not read."""
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, n))
    y = np.where(a + b > 0, "yes", "no").tolist()
    return pa.table({"id": [f"r-{i}" for i in range(n)], "c": c * 9, "b": b, "a": a, "y": y})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "matrix.onnx").write_bytes(matrix_onnx())
    pq.write_table(rows(), tmp_path / "ref.parquet")
    return tmp_path


def matrix_onnx() -> bytes:
    """One input [rows, 2]; "yes" where 2 a + 1.9 b is above 0."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.array([[-2.0, 2.0], [-1.9, 1.9]], dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
            helper.make_node("ArgMax", ["scores"], ["place"], axis=1, keepdims=0),
            helper.make_node("Gather", ["names", "place"], ["label"]),
        ],
        "matrix",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])],
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, ["rows"]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 2]),
        ],
        [
            numpy_helper.from_array(weights, "w"),
            helper.make_tensor("names", TensorProto.STRING, [2], [b"no", b"yes"]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def arguments(place: Path, *more: str) -> list[str]:
    reference = ["--reference", str(place / "ref.parquet"), "--target", "y", "--id", "id", "--project", str(place)]
    return ["adopt", str(place / "matrix.onnx"), *reference, *more]


def test_the_columns_are_told_on_the_command_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(place)) == 2
    assert "`adopt --features a,b`" in capsys.readouterr().err
    assert not (place / "backstay.toml").exists()
    assert run(arguments(place, "--features", "a, b")) == 0
    project = backstay.open(place)
    assert project.ws.settings.data.features == ("a", "b")
    model = project.ws.load_model(project.ws.model_record(project.releases.champion().model_id))
    assert model.manifest.inputs[0].columns == ("a", "b")
    answered = project.models.predict(rows())
    pairs = zip(answered.table.column("label").to_pylist(), rows().column("y").to_pylist(), strict=True)
    assert np.mean([said == true for said, true in pairs]) > 0.95


def test_features_beside_a_project_file_that_says_otherwise_are_refused(place: Path) -> None:
    assert run(arguments(place, "--features", "a,b")) == 0
    with pytest.raises(BackstayError, match="features was said to be"):
        backstay.adopt(
            place / "matrix.onnx", reference=place / "ref.parquet", target="y", features=["b", "a"], folder=place
        )


def test_a_successor_is_not_told_columns(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["adopt", "x.onnx", "--challenger", "--features", "a,b", "--project", str(place)]) == 2
    assert "--features is for a first adoption" in capsys.readouterr().err


def test_a_column_that_is_not_there_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(place, "--features", "a,bb")) == 2
    assert "'bb'" in capsys.readouterr().err


def test_an_object_that_was_fitted_on_bare_numbers_is_told_too(place: Path) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    table = rows()
    model = linear.LogisticRegression().fit(
        np.column_stack([table.column("a"), table.column("b")]), table.column("y").to_numpy(zero_copy_only=False)
    )
    given: dict[str, Any] = {"reference": place / "ref.parquet", "target": "y", "row_id": "id", "folder": place}
    with pytest.raises(BackstayError, match="fitted on 2 columns") as caught:
        backstay.adopt(model, **given)
    assert "--features" in str(caught.value.fix)
    adopted = backstay.adopt(model, features=["a", "b"], **given)
    assert adopted.report is not None
    accuracy = adopted.report.find("accuracy")
    assert accuracy is not None
    assert accuracy.value > 0.95


def test_a_folder_is_called_one(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "models").mkdir()
    words = arguments(place)
    words[1] = str(place / "models")
    assert run(words) == 2
    assert "is a folder, and a model is one ONNX file" in capsys.readouterr().err


def test_ids_that_are_all_alike_are_refused_at_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = rows().set_column(0, "id", pa.array(["one"] * 200))
    pq.write_table(table, place / "ref.parquet")
    assert run(arguments(place, "--features", "a,b")) == 2
    assert "all 200 rows have the same id in the column 'id': 'one'" in capsys.readouterr().err
