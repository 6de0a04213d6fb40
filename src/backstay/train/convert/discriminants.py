"""Linear and quadratic discriminants of scikit-learn. skl2onnx 1.20 is wrong on linear ones of two classes.

linear: x . coef + intercept. quadratic: -(|((x - mean) R) / sqrt(S)|^2 + sum log S) / 2 + log prior, by class.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.train.convert.blocks import Classified
from backstay.train.convert.classifiers import probabilities
from backstay.train.convert.graph import Graph
from backstay.train.convert.linear import weighted


def linear(graph: Graph, model: Any, matrix: str) -> Classified:
    """A `LinearDiscriminantAnalysis`."""
    decision = weighted(graph, model, matrix)
    return Classified(probabilities(graph, decision, len(np.atleast_2d(model.coef_))), decision)


def quadratic(graph: Graph, model: Any, matrix: str) -> Classified:
    """A `QuadraticDiscriminantAnalysis`."""
    logs = []
    for mean, rotation, scaling, prior in zip(
        model.means_, model.rotations_, model.scalings_, model.priors_, strict=True
    ):
        centred = graph.op("Sub", matrix, graph.row(mean))
        turned = graph.op("MatMul", centred, graph.constant(np.asarray(rotation * scaling**-0.5, dtype=np.float64)))
        norm = graph.total(graph.op("Mul", turned, turned))
        whole = graph.op("Add", norm, graph.number(float(np.sum(np.log(scaling)))))
        scaled = graph.op("Mul", whole, graph.number(-0.5))
        logs.append(graph.op("Add", scaled, graph.number(float(np.log(prior)))))
    found = graph.side_by_side(logs)
    decision = found if len(logs) > 2 else graph.op("Sub", logs[1], logs[0])
    return Classified(graph.op("Softmax", found, axis=1), decision)
