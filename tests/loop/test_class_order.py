"""An ONNX file of scores alone: the order of its classes is said, or the rows must not speak against the one taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper, numpy_helper

import backstay
from backstay.kernel.errors import BackstayError
from backstay.loop.hints import Hints

ORDER = ("zebra", "ant", "cat, wild")


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A perfect model whose scores are in `ORDER`, and 300 rows of it."""
    weights = numpy_helper.from_array(np.eye(3, dtype=np.float32) * 9, "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["l"]), helper.make_node("Softmax", ["l"], ["scores"], axis=1)]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    x = np.random.default_rng(0).normal(size=(300, 3))
    labels = [ORDER[i] for i in x.argmax(axis=1)]
    table = pa.table({**{n: x[:, i] for i, n in enumerate("abc")}, "y": labels, "id": [f"r{i}" for i in range(300)]})
    pq.write_table(table, tmp_path / "ref.parquet")
    return tmp_path


def adopt(folder: Path, **more: Any) -> Any:
    return backstay.adopt(
        folder / "model.onnx", reference=folder / "ref.parquet", target="y", row_id="id", folder=folder / "p", **more
    )


def test_scores_in_another_order_are_refused_and_the_order_is_named(given: Path) -> None:
    (given / "p").mkdir()
    with pytest.raises(BackstayError, match=r"and as zebra, ant, cat, wild in 100\.0%") as caught:
        adopt(given)
    assert "--classes" in str(caught.value.fix)
    assert not (given / "p" / "backstay.toml").exists()


def test_the_order_may_be_said(given: Path) -> None:
    (given / "p").mkdir()
    adopted = adopt(given, classes=ORDER)
    assert adopted.model.classes == ORDER
    accuracy = next(m for m in adopted.report.measurements if m.metric == "accuracy" and m.of == "model")
    assert accuracy.interval.low > 0.98
    project = backstay.open(given / "p")
    offered = project.models.offer(given / "model.onnx", classes=ORDER)
    assert offered.model.id == adopted.model.id


def test_an_order_must_name_each_class_once(given: Path) -> None:
    (given / "p").mkdir()
    with pytest.raises(BackstayError, match="lacks 'ant'"):
        adopt(given, classes=("zebra", "cat, wild", "dog"))
    with pytest.raises(BackstayError, match="names 'ant' twice"):
        adopt(given, classes=(*ORDER, "ant"))


def test_an_order_with_commas_is_said_on_the_command_line(given: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from backstay.cli.main import run

    (given / "p").mkdir()
    words = ["adopt", str(given / "model.onnx"), "--reference", str(given / "ref.parquet"), "--target", "y", "--id"]
    words += ["id", "--project", str(given / "p"), "--classes", 'zebra, ant, "cat, wild"', "--json"]
    assert run(words) == 0
    assert '"cat, wild"' in capsys.readouterr().out


def test_classes_and_outputs_as_people_write_them() -> None:
    hints = Hints.of(None, "logits", [0, True, 2.0, np.int64(3), "²"])
    assert hints == Hints(None, ("logits",), ("0", "true", "2", "3", "²"))
