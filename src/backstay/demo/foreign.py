"""Someone else's model: a scikit-learn classifier of digits, exported to ONNX by them. Backstay sees only the file."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from backstay.demo.scans import Batch


def fit_classifier(
    batch: Batch, *, hidden: int = 64, seed: int = 0, labels: npt.NDArray[np.str_] | None = None
) -> bytes:
    """Train a small scikit-learn network on these rows and export it: pixels in, label and scores out.

    Args:
        labels: what to learn instead of the true digits (somebody's faulty filing).
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    inputs = batch.pixels.reshape(len(batch), -1).astype(np.float32)
    wanted = np.array(batch.truth) if labels is None else labels
    model = make_pipeline(
        StandardScaler(), MLPClassifier((hidden,), max_iter=30, alpha=0.1, early_stopping=False, random_state=seed)
    )
    with warnings.catch_warnings():
        # Thirty passes are what this vendor ships; scikit-learn would like more.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(inputs, wanted)
    return export(model, inputs.shape[1], shape=batch.pixels.shape[1:])


def export(model: object, width: int, shape: tuple[int, ...]) -> bytes:
    """The fitted pipeline as one ONNX graph that takes uint8 pixels [rows, height, width, channels]."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    logging.getLogger("skl2onnx").setLevel(logging.ERROR)
    core = to_onnx(
        model,
        initial_types=[("flat", FloatTensorType([None, width]))],
        options={id(model): {"zipmap": False}},
        target_opset={"": 20, "ai.onnx.ml": 3},
    )
    graph = core.graph
    pixels = helper.make_tensor_value_info("image", TensorProto.UINT8, ["rows", *shape])
    size = helper.make_tensor("flat_size", TensorProto.INT64, [2], [-1, width])
    before = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "flat_size"], ["flat"]),
    ]
    del graph.input[:]
    graph.input.append(pixels)
    graph.initializer.append(size)
    nodes = [*before, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    _rename_output(graph, graph.output[1].name, "scores")
    onnx.checker.check_model(core)
    return bytes(core.SerializeToString())


def _rename_output(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
        node.input[:] = [new if name == old else name for name in node.input]
    graph.output[1].name = new


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
