"""Linear models of scikit-learn, of classes and of numbers: weights, an intercept, and what is made of their sum."""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.maths.arrays import FloatArray
from backstay.train.convert.blocks import Classified, Unsupported
from backstay.train.convert.classifiers import probabilities
from backstay.train.convert.graph import Graph


def weighted(graph: Graph, model: Any, matrix: str) -> str:
    """x . coef + intercept, double [rows, outputs]."""
    coefficients = dense(model.coef_)
    wide = coefficients.reshape(1, -1) if coefficients.ndim == 1 else coefficients
    product = graph.op("MatMul", matrix, graph.constant(wide.T))
    return graph.op("Add", product, graph.row(model.intercept_))


def dense(values: Any) -> FloatArray:
    """Weights as an array, which a model may hold sparse."""
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values, dtype=np.float64)


def logistic(graph: Graph, model: Any, matrix: str) -> Classified:
    """A `LogisticRegression`: sigmoid for two classes, softmax for more."""
    decision = weighted(graph, model, matrix)
    return Classified(probabilities(graph, decision, len(dense(model.coef_))), decision)


def decision(graph: Graph, model: Any, matrix: str) -> Classified:
    """`LinearSVC`, `RidgeClassifier`, `Perceptron` and their kind: a decision function and no chances."""
    return Classified(decision=weighted(graph, model, matrix))


def stochastic(graph: Graph, model: Any, matrix: str) -> Classified:
    """An `SGDClassifier`: of the loss "log_loss" each class's sigmoid, brought to a sum of 1; the chances of
    "modified_huber" are not of the order of its decisions, so that its answer is given apart."""
    value = weighted(graph, model, matrix)
    two = len(model.classes_) == 2
    if model.loss == "log_loss" and two:
        return Classified(probabilities(graph, value, 1), value)
    if model.loss == "log_loss":
        each = graph.op("Sigmoid", value)
        return Classified(graph.op("Div", each, graph.total(each)), value)
    if model.loss != "modified_huber":
        return Classified(decision=value)
    within = graph.op("Clip", value, graph.number(-1.0), graph.number(1.0))
    each = graph.op("Div", graph.op("Add", within, graph.number(1.0)), graph.number(2.0))
    if two:
        return Classified(graph.side_by_side([graph.op("Sub", graph.number(1.0), each), each]), value)
    nowhere = graph.op("Equal", graph.total(each), graph.number(0.0))
    each = graph.op("Where", nowhere, graph.number(1.0), each)
    place = graph.op("ArgMax", value, axis=1, keepdims=0)
    return Classified(graph.op("Div", each, graph.total(each)), value, place)


def values(graph: Graph, model: Any, matrix: str) -> str:
    """A linear regression of one target; a partial least squares one takes its means away first."""
    if hasattr(model, "_x_mean"):
        matrix = graph.op("Sub", matrix, graph.row(model._x_mean))
    if np.size(model.intercept_) != 1:
        raise Unsupported(
            f"{type(model).__name__} answers {np.size(model.intercept_)} targets", fix="fit a model for each target"
        )
    return weighted(graph, model, matrix)


def generalised(graph: Graph, model: Any, matrix: str) -> str:
    """Poisson, gamma and Tweedie regression: the exponential of the sum where the link is the logarithm."""
    made = weighted(graph, model, matrix)
    link = type(model._base_loss.link).__name__
    if link not in ("LogLink", "IdentityLink"):
        raise Unsupported(f"the link {link} is not known here", fix='fit it with link="log" or link="identity"')
    return graph.op("Exp", made) if link == "LogLink" else made
