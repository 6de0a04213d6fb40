"""The neural networks of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.train.convert.blocks import Classified, Unsupported
from backstay.train.convert.graph import Graph

_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid", "exp": "Exp"}


def classifier(graph: Graph, model: Any, matrix: str) -> Classified:
    """An `MLPClassifier` of classes, not of sets of labels."""
    made = _layers(graph, model, matrix)
    if model.out_activation_ == "softmax":
        return Classified(graph.op("Softmax", made, axis=1))
    if len(model.classes_) != 2:
        raise Unsupported("MLPClassifier answers sets of labels", fix="export it to ONNX and name the file")
    second = graph.op("Sigmoid", made)
    return Classified(graph.side_by_side([graph.op("Sub", graph.number(1.0), second), second]))


def regressor(graph: Graph, model: Any, matrix: str) -> str:
    """An `MLPRegressor` of one target."""
    if model.n_outputs_ != 1:
        raise Unsupported(f"MLPRegressor answers {model.n_outputs_} targets", fix="fit a model for each target")
    made = _layers(graph, model, matrix)
    return made if model.out_activation_ == "identity" else _activated(graph, made, model.out_activation_)


def _layers(graph: Graph, model: Any, value: str) -> str:
    """The last layer's sums."""
    for place, (weights, offset) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        if place and model.activation != "identity":
            value = _activated(graph, value, model.activation)
        product = graph.op("MatMul", value, graph.constant(np.asarray(weights, dtype=np.float64)))
        value = graph.op("Add", product, graph.row(offset))
    return value


def _activated(graph: Graph, value: str, name: str) -> str:
    if name not in _ACTIVATIONS:
        raise Unsupported(f"the activation {name!r} is not known here", fix='fit it with "relu", "tanh" or "logistic"')
    return graph.op(_ACTIVATIONS[name], value)
