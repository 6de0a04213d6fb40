"""Gradient boosting of scikit-learn, the older kind: a first guess and small trees that add to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from backstay.train.convert.blocks import Classified, Unsupported
from backstay.train.convert.classifiers import probabilities
from backstay.train.convert.graph import Graph
from backstay.train.convert.regressors import valued
from backstay.train.convert.trees import ensemble


def classifier(graph: Graph, model: Any, matrix: str) -> Classified:
    """A `GradientBoostingClassifier`. Of two classes a sum of exactly 0 answers the second."""
    total = _sum(graph, model, matrix)
    columns = int(model.n_trees_per_iteration_)
    steep = graph.op("Mul", total, graph.number(2.0)) if model.loss == "exponential" else total
    place = ""
    if columns == 1:
        above = graph.op("Cast", graph.op("GreaterOrEqual", total, graph.number(0.0)), to=TensorProto.INT64)
        place = graph.op("Squeeze", above, graph.constant(np.array([1])))
    return Classified(probabilities(graph, steep, columns), total, place)


def regressor(graph: Graph, model: Any, matrix: str) -> str:
    """A `GradientBoostingRegressor`."""
    return _sum(graph, model, matrix)


def _sum(graph: Graph, model: Any, matrix: str) -> str:
    if model.init_ != "zero" and not type(model.init_).__name__.startswith("Dummy"):
        raise Unsupported(
            f"the boosting begins at the answers of a {type(model.init_).__name__}", fix="fit it with init=None"
        )
    begin = np.asarray(model._raw_predict_init(np.zeros((1, model.n_features_in_))), dtype=np.float64)
    rate = float(model.learning_rate)
    trees = [(valued(tree.tree_, rate), target) for stage in model.estimators_ for target, tree in enumerate(stage)]
    # scikit-learn rounds what trees read to float32 before it compares.
    total = ensemble(graph, graph.floats(matrix), trees, begin.shape[1])
    return graph.op("Add", total, graph.row(begin))
