"""scikit-learn's dummies, which look at no column: what they answer is asked of them once."""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.train.convert.blocks import Classified, Unsupported
from backstay.train.convert.graph import Graph


def classes(graph: Graph, model: Any, matrix: str) -> Classified:
    """A `DummyClassifier` that always answers alike."""
    if model.strategy not in ("prior", "most_frequent", "constant"):
        raise Unsupported(f"DummyClassifier(strategy={model.strategy!r}) answers by chance", fix='fit it with "prior"')
    return Classified(repeated(graph, matrix, np.asarray(model.predict_proba(np.zeros((1, 1))))[:1]))


def value(graph: Graph, model: Any, matrix: str) -> str:
    """A `DummyRegressor`."""
    return repeated(graph, matrix, np.asarray(model.predict(np.zeros((1, 1)))).reshape(1, -1))


def repeated(graph: Graph, matrix: str, row: Any) -> str:
    """The row [1, n] for each row of a tensor."""
    rows = graph.op("Shape", matrix, start=0, end=1)
    shape = graph.op("Concat", rows, graph.constant(np.array([row.shape[1]], np.int64)), axis=0)
    return graph.op("Expand", graph.row(row), shape)
