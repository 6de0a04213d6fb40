"""Naive Bayes of scikit-learn: for each class the log of its prior and of its rows' likelihood; chances by softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.train.convert.blocks import Classified
from backstay.train.convert.graph import Graph


def gaussian(graph: Graph, model: Any, matrix: str) -> Classified:
    """A `GaussianNB`."""
    logs = []
    for mean, variance, prior in zip(model.theta_, model.var_, model.class_prior_, strict=True):
        gap = graph.op("Sub", matrix, graph.row(mean))
        squares = graph.total(graph.op("Div", graph.op("Mul", gap, gap), graph.row(variance)))
        constant = float(np.log(prior) - 0.5 * np.sum(np.log(2.0 * np.pi * variance)))
        logs.append(graph.op("Add", graph.op("Mul", squares, graph.number(-0.5)), graph.number(constant)))
    return _chances(graph, graph.side_by_side(logs))


def multinomial(graph: Graph, model: Any, matrix: str) -> Classified:
    """A `MultinomialNB`."""
    return _chances(graph, graph.op("Add", _of_features(graph, model, matrix), graph.row(model.class_log_prior_)))


def complement(graph: Graph, model: Any, matrix: str) -> Classified:
    """A `ComplementNB`, which counts a prior only where there is one class."""
    return _chances(graph, _of_features(graph, model, matrix))


def bernoulli(graph: Graph, model: Any, matrix: str) -> Classified:
    """A `BernoulliNB`: what a row lacks counts too."""
    if model.binarize is not None:
        matrix = graph.double(graph.op("Greater", matrix, graph.number(float(model.binarize))))
    never = np.log(1.0 - np.exp(model.feature_log_prob_))
    product = graph.op("MatMul", matrix, graph.constant((model.feature_log_prob_ - never).T.astype(np.float64)))
    return _chances(graph, graph.op("Add", product, graph.row(model.class_log_prior_ + never.sum(axis=1))))


def categorical(graph: Graph, model: Any, matrix: str) -> Classified:
    """A `CategoricalNB`: a table for each column, not a number where scikit-learn would raise an error."""
    total = graph.row(model.class_log_prior_)
    for place, table in enumerate(model.feature_log_prob_):
        known = table.shape[1]
        answers = np.vstack([table.T, np.full((1, len(table)), np.nan)])
        code = graph.op("Cast", graph.columns(matrix, [place]), to=7)
        outside = graph.op(
            "Or",
            graph.op("Less", code, graph.constant(np.array(0))),
            graph.op("GreaterOrEqual", code, graph.constant(np.array(known))),
        )
        code = graph.op("Where", outside, graph.constant(np.array(known)), code)
        flat = graph.op("Squeeze", code, graph.constant(np.array([1])))
        total = graph.op("Add", total, graph.op("Gather", graph.constant(answers.astype(np.float64)), flat, axis=0))
    return _chances(graph, total)


def _of_features(graph: Graph, model: Any, matrix: str) -> str:
    return graph.op("MatMul", matrix, graph.constant(np.asarray(model.feature_log_prob_, dtype=np.float64).T))


def _chances(graph: Graph, logs: str) -> Classified:
    return Classified(graph.op("Softmax", logs, axis=1))
