"""The model that is served: a multi-layer perceptron 64-256-128-10 as ONNX, and rows that it is known to be good on."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto, helper, numpy_helper

WIDTHS = (64, 256, 128, 10)
ROWS = 2000
WRONG = 0.1
OPSET, IR_VERSION = 17, 9


def write_model(path: Path, *, seed: int = 0) -> None:
    """Input X float32 [rows, 64]; outputs label int64 [rows] and scores float32 [rows, 10]. Random weights."""
    rng = np.random.default_rng(seed)
    nodes, weights, last = [], [], "X"
    for number, (wide, next_wide) in enumerate(pairwise(WIDTHS)):
        drawn = (rng.standard_normal((wide, next_wide)) * np.sqrt(2 / wide)).astype(np.float32)
        weights += [
            numpy_helper.from_array(drawn, f"weight{number}"),
            numpy_helper.from_array(np.zeros(next_wide, np.float32), f"bias{number}"),
        ]
        nodes.append(helper.make_node("Gemm", [last, f"weight{number}", f"bias{number}"], [f"sum{number}"]))
        last = f"sum{number}"
        if number < len(WIDTHS) - 2:
            nodes.append(helper.make_node("Relu", [last], [f"active{number}"]))
            last = f"active{number}"
    nodes.append(helper.make_node("Softmax", [last], ["scores"], axis=1))
    nodes.append(helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0))
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["rows", WIDTHS[0]])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", WIDTHS[-1]]),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def answers(model: Path, rows: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Labels and scores straight from ONNX Runtime: what every server must answer."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    label, scores = session.run(["label", "scores"], {"X": rows})
    return label, scores


def draw_rows(count: int, *, seed: int = 1) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, WIDTHS[0])).astype(np.float32)


def write_reference(path: Path, model: Path, *, seed: int = 1) -> None:
    """Rows whose true label is the model's answer, but for one in ten."""
    rows = draw_rows(ROWS, seed=seed)
    truth, _ = answers(model, rows)
    rng = np.random.default_rng(seed + 1)
    truth = np.where(rng.random(ROWS) < WRONG, rng.integers(0, WIDTHS[-1], ROWS), truth)
    columns = {f"x{i:02d}": rows[:, i] for i in range(WIDTHS[0])}
    pq.write_table(pa.table({**columns, "y": truth}), path)
