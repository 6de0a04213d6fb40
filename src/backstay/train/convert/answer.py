"""The end of a graph: probabilities to calibrated scores and to a class name."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from backstay.bundle.manifest import OutputSpec
from backstay.maths.arrays import FloatArray, IntArray
from backstay.maths.calibrate import Platt, Temperature, safe_logit
from backstay.train.convert.graph import ML, Graph

SMALLEST = 1e-6
"""Probabilities are kept so far away from 0 and 1 before their logarithm is taken."""
Calibration = Platt | Temperature


def calibration_of(probabilities: FloatArray, labels: IntArray) -> Calibration:
    """Platt's map for two classes, a temperature for more, fitted on rows that the model has not learned from."""
    if probabilities.shape[1] == 2:
        return Platt.fit(safe_logit(probabilities[:, 1]), labels.astype(np.float64))
    return Temperature.fit(np.log(np.clip(probabilities, SMALLEST, 1.0)), labels)


def calibrated(calibration: Calibration, probabilities: FloatArray) -> FloatArray:
    """Calibrated probabilities [n, classes]."""
    if isinstance(calibration, Platt):
        positive = calibration.apply(safe_logit(probabilities[:, 1]))
        return np.column_stack([1.0 - positive, positive])
    return calibration.apply(np.log(np.clip(probabilities, SMALLEST, 1.0)))


def write_calibrated(graph: Graph, calibration: Calibration, probabilities: str) -> str:
    """The graph of `calibrated`."""
    low, one = graph.constant(np.array(SMALLEST)), graph.constant(np.array(1.0))
    if isinstance(calibration, Temperature):
        logs = graph.op("Log", graph.op("Clip", probabilities, low, one))
        scaled = graph.op("Div", logs, graph.constant(np.array(calibration.temperature)))
        return graph.op("Softmax", graph.op("Add", scaled, graph.constant(np.array(calibration.bias))), axis=1)
    second = graph.op("Clip", graph.columns(probabilities, [1]), low, graph.constant(np.array(1.0 - SMALLEST)))
    logit = graph.op("Log", graph.op("Div", second, graph.op("Sub", one, second)))
    slope, offset = (graph.constant(np.array(v)) for v in (calibration.slope, calibration.intercept))
    positive = graph.op("Sigmoid", graph.op("Add", graph.op("Mul", logit, slope), offset))
    return graph.side_by_side([graph.op("Sub", one, positive), positive])


def write_spread(graph: Graph, probabilities: str, present: list[int], classes: int) -> str:
    """Probabilities of the classes that there were rows of, put at their places among all classes."""
    if present == list(range(classes)):
        return probabilities
    return graph.op("MatMul", probabilities, graph.constant(np.eye(classes)[present]))


def finish(graph: Graph, probabilities: str, classes: tuple[str, ...]) -> tuple[bytes, tuple[OutputSpec, ...]]:
    """The whole graph with its outputs `label` and `scores`. Where a score is not a number, the label is ""."""
    scores = graph.op("Cast", probabilities, to=TensorProto.FLOAT)
    return _with_label(graph, graph.op("ArgMax", scores, axis=1, keepdims=0), scores, classes)


def finish_at(
    graph: Graph, place: str, probabilities: str, classes: tuple[str, ...]
) -> tuple[bytes, tuple[OutputSpec, ...]]:
    """As `finish`, where the label is told apart from the scores: its place among the classes, int64 [rows].

    Args:
        probabilities: double [rows, classes], or "" where the model has none; then there is no output `scores`.
    """
    return _with_label(graph, place, probabilities and graph.op("Cast", probabilities, to=TensorProto.FLOAT), classes)


def finish_number(graph: Graph, value: str, name: str) -> tuple[bytes, tuple[OutputSpec, ...]]:
    """The whole graph of a model that answers a number, double [rows, 1], as the output `name`."""
    output = OutputSpec(name, "FP64", (-1,), "number")
    flat = graph.op("Reshape", value, graph.constant(np.array([-1], np.int64)))
    return graph.model({name: (flat, output)}), (output,)


def _with_label(
    graph: Graph, place: str, scores: str, classes: tuple[str, ...]
) -> tuple[bytes, tuple[OutputSpec, ...]]:
    if scores:
        whole = graph.op("ReduceSum", scores, graph.constant(np.array([1], np.int64)), keepdims=0)
        nowhere = graph.constant(np.array(-1, np.int64))
        place = graph.op("Where", graph.op("IsNaN", whole), nowhere, place)
    label = graph.op(
        "LabelEncoder",
        place,
        domain=ML,
        keys_int64s=list(range(len(classes))),
        values_strings=list(classes),
        default_string="",
    )
    outputs = {"label": (label, OutputSpec("label", "BYTES", (-1,), "label"))}
    if scores:
        outputs["scores"] = (scores, OutputSpec("scores", "FP32", (-1, len(classes)), "scores"))
    return graph.model(outputs), tuple(spec for _, spec in outputs.values())
