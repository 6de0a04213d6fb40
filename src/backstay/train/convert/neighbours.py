"""Models of scikit-learn that hold rows and look for the nearest: neighbours, centroids and label propagation.

Where several known rows are equally near and not all are counted, which of them scikit-learn takes is not said; a graph
takes the first. The comparison refuses a model of which such rows are many enough to be met.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.maths.arrays import FloatArray
from backstay.train.convert.blocks import Classified, Unsupported
from backstay.train.convert.distances import kernel, of_metric, squared
from backstay.train.convert.graph import Graph
from backstay.train.convert.linear import dense


def classifier(graph: Graph, model: Any, matrix: str) -> Classified:
    """A `KNeighborsClassifier`: the weighted share of each class among the nearest rows."""
    if np.ndim(model._y) != 1:
        raise Unsupported("KNeighborsClassifier answers several targets", fix="fit a model for each target")
    hot = np.eye(len(model.classes_))[model._y]
    total, whole = _sums(graph, model, matrix, hot)
    return Classified(graph.op("Div", total, whole))


def regressor(graph: Graph, model: Any, matrix: str) -> str:
    """A `KNeighborsRegressor`: the weighted mean of the nearest rows' targets."""
    known = np.asarray(model._y, dtype=np.float64).reshape(len(model._y), -1)
    if known.shape[1] != 1:
        raise Unsupported("KNeighborsRegressor answers several targets", fix="fit a model for each target")
    total, whole = _sums(graph, model, matrix, known)
    return graph.op("Div", total, whole)


def _sums(graph: Graph, model: Any, matrix: str, values: FloatArray) -> tuple[str, str]:
    """The weighted sum of the nearest rows' values [rows, columns], and of their weights [rows, 1]."""
    far = _distances(graph, model, matrix)
    count = graph.constant(np.array([model.n_neighbors], np.int64))
    near, place = graph.two("TopK", far, count, axis=1, largest=0, sorted=1)
    found = graph.op("Gather", graph.constant(values), place, axis=0)
    if model.weights == "uniform":
        weight = graph.op("Add", graph.op("Mul", near, graph.number(0.0)), graph.number(1.0))
    else:
        # Rows at no distance count alone, each once.
        same = graph.double(graph.op("Equal", near, graph.number(0.0)))
        some = graph.op("Greater", graph.total(same), graph.number(0.0))
        weight = graph.op("Where", some, same, graph.op("Div", graph.number(1.0), near))
    wide = graph.op("Unsqueeze", weight, graph.constant(np.array([2])))
    return graph.total(graph.op("Mul", found, wide), keep=False), graph.total(weight)


def within_classifier(graph: Graph, model: Any, matrix: str) -> Classified:
    """A `RadiusNeighborsClassifier`; where no row is near enough, no chances (scikit-learn raises an error)."""
    if np.ndim(model._y) != 1:
        raise Unsupported("RadiusNeighborsClassifier answers several targets", fix="fit a model for each target")
    if model.outlier_label_ is not None:
        raise Unsupported("RadiusNeighborsClassifier with an outlier_label is not converted", fix="fit it without")
    total, whole = _within(graph, model, matrix, np.eye(len(model.classes_))[model._y])
    return Classified(graph.op("Div", total, whole))


def within_regressor(graph: Graph, model: Any, matrix: str) -> str:
    """A `RadiusNeighborsRegressor`; not a number where no row is near enough."""
    known = np.asarray(model._y, dtype=np.float64).reshape(len(model._y), -1)
    if known.shape[1] != 1:
        raise Unsupported("RadiusNeighborsRegressor answers several targets", fix="fit a model for each target")
    total, whole = _within(graph, model, matrix, known)
    return graph.op("Div", total, whole)


def _within(graph: Graph, model: Any, matrix: str, values: FloatArray) -> tuple[str, str]:
    """The weighted sum of the values of rows that are near enough [rows, columns], and of their weights [rows, 1]."""
    far = _distances(graph, model, matrix)
    near = graph.double(graph.op("LessOrEqual", far, graph.number(float(model.radius))))
    if model.weights == "distance":
        same = graph.double(graph.op("Equal", far, graph.number(0.0)))
        some = graph.op("Greater", graph.total(same), graph.number(0.0))
        apart = graph.op("Where", graph.op("Equal", far, graph.number(0.0)), graph.number(1.0), far)
        near = graph.op("Where", some, same, graph.op("Div", near, apart))
    return graph.op("MatMul", near, graph.constant(values)), graph.total(near)


def _distances(graph: Graph, model: Any, matrix: str) -> str:
    if not (isinstance(model.effective_metric_, str) and model.weights in ("uniform", "distance")):
        raise Unsupported(
            f"{type(model).__name__} with a function of its own is not converted",
            fix='fit it with metric "euclidean" or "manhattan" and weights "uniform" or "distance"',
        )
    power = float(getattr(model, "effective_metric_params_", {}).get("p", model.p))
    return of_metric(graph, matrix, dense(model._fit_X), model.effective_metric_, power)


def centroid(graph: Graph, model: Any, matrix: str) -> Classified:
    """A `NearestCentroid`."""
    even = bool(np.isclose(model.class_prior_, 1 / len(model.classes_)).all())
    far = of_metric(graph, matrix, model.centroids_, model.metric, 2.0)
    nearest = graph.op("ArgMin", far, axis=1, keepdims=0)
    if model.metric != "euclidean":
        return Classified(place=nearest)
    spread = np.where(model.within_class_std_dev_ != 0, model.within_class_std_dev_, 1.0)
    gaps = squared(graph, graph.op("Div", matrix, graph.row(spread)), model.centroids_ / spread)
    scores = graph.op("Sub", graph.row(2.0 * np.log(model.class_prior_)), gaps)
    first, second = graph.columns(scores, [0]), graph.columns(scores, [1])
    decision = graph.op("Sub", second, first) if len(model.classes_) == 2 else scores
    highest = nearest if even else graph.op("ArgMax", scores, axis=1, keepdims=0)
    return Classified(graph.op("Softmax", scores, axis=1), decision, highest)


def propagation(graph: Graph, model: Any, matrix: str) -> Classified:
    """A `LabelPropagation` or `LabelSpreading`: the known rows' class shares, weighted by nearness."""
    known, shares = dense(model.X_), np.asarray(model.label_distributions_, dtype=np.float64)
    if model.kernel == "rbf":
        near = kernel(graph, matrix, known, "rbf", gamma=float(model.gamma), degree=1, coef0=0.0)
        total = graph.op("MatMul", near, graph.constant(shares))
    elif model.kernel == "knn":
        count = graph.constant(np.array([model.n_neighbors], np.int64))
        _, place = graph.two("TopK", squared(graph, matrix, known), count, axis=1, largest=0, sorted=1)
        total = graph.total(graph.op("Gather", graph.constant(shares), place, axis=0), keep=False)
    else:
        raise Unsupported(
            f"{type(model).__name__} with a function as its kernel is not converted", fix='fit with "rbf"'
        )
    return Classified(graph.op("Div", total, graph.total(total)))
