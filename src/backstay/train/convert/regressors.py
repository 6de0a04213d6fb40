"""Regressors of scikit-learn by their class: each adds itself to a graph and answers a double tensor [rows, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.train.convert.classifiers import is_text, known_categories
from backstay.train.convert.graph import Graph
from backstay.train.convert.trees import Split, ensemble, of_predictor, of_tree


def decision_tree(graph: Graph, model: Any, matrix: str) -> str:
    """A `DecisionTreeRegressor`: the value of the leaf."""
    nodes, rows = of_tree(model.tree_, 0)
    valued = [node if isinstance(node, Split) else float(rows[int(node), 0]) for node in nodes]
    # scikit-learn rounds what trees read to float32 before it compares.
    return ensemble(graph, graph.floats(matrix), [(valued, 0)], 1)


def boosting(graph: Graph, model: Any, matrix: str) -> str:
    """A `HistGradientBoostingRegressor` of squared or absolute error, laid out as its classifying twin."""
    categories = {
        place: np.arange(len(known), dtype=np.float64) if is_text(known) else known.astype(np.float64)
        for place, known in enumerate(known_categories(model))
    }
    baseline = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(1, -1)
    trees = [(of_predictor(predictor, categories), 0) for step in model._predictors for predictor in step]
    return graph.op("Add", ensemble(graph, matrix, trees, 1), graph.constant(baseline))


def linear(graph: Graph, model: Any, matrix: str) -> str:
    """A `Ridge` or another linear model: weights and an intercept."""
    product = graph.op("MatMul", matrix, graph.constant(np.asarray(model.coef_, dtype=np.float64).reshape(-1, 1)))
    return graph.op("Add", product, graph.constant(np.array([[float(model.intercept_)]])))
