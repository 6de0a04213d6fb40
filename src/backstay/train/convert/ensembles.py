"""Estimators of scikit-learn that ask several others: boosting by weights, bagging, voting and stacking."""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.train.convert.blocks import Block, Classified, Unsupported, single_columns, width_of
from backstay.train.convert.graph import Graph
from backstay.train.convert.shelf import answered, classify, regress

_FIX = "export it to ONNX with tools that know it, and name the file"


def ada_classifier(graph: Graph, model: Any, blocks: list[Block]) -> Classified:
    """An `AdaBoostClassifier`: weighted votes."""
    classes = len(model.classes_)
    weights = np.asarray(model.estimator_weights_[: len(model.estimators_)], dtype=np.float64)
    votes = []
    for one, weight in zip(model.estimators_, weights, strict=True):
        hot = _among(graph, answered(graph, classify(graph, one, blocks), len(one.classes_)), one, model.classes_)
        against = -weight / (classes - 1)
        votes.append(graph.op("Add", graph.op("Mul", hot, graph.number(weight - against)), graph.number(against)))
    total = graph.op("Div", _sum(graph, votes), graph.number(float(model.estimator_weights_.sum())))
    if classes == 2:
        decision = graph.op("Sub", graph.columns(total, [1]), graph.columns(total, [0]))
        half = graph.op("Div", decision, graph.number(2.0))
        return Classified(graph.op("Softmax", graph.side_by_side([graph.op("Neg", half), half]), axis=1), decision)
    mild = graph.op("Div", total, graph.number(float(classes - 1)))
    return Classified(graph.op("Softmax", mild, axis=1), total)


def ada_regressor(graph: Graph, model: Any, blocks: list[Block]) -> str:
    """An `AdaBoostRegressor`: the weighted median of its regressors."""
    found = graph.side_by_side([regress(graph, one, blocks) for one in model.estimators_])
    weights = np.asarray(model.estimator_weights_[: len(model.estimators_)], dtype=np.float64)
    count = graph.constant(np.array([len(weights)], np.int64))
    ordered, place = graph.two("TopK", found, count, axis=1, largest=0, sorted=1)
    sums = graph.op("CumSum", graph.op("Gather", graph.constant(weights), place), graph.constant(np.array(1)))
    reached = graph.op("GreaterOrEqual", sums, graph.number(0.5 * float(weights.sum())))
    first = graph.op("ArgMax", graph.op("Cast", reached, to=7), axis=1, keepdims=1)
    return graph.op("GatherElements", ordered, first, axis=1)


def bagged_classifier(graph: Graph, model: Any, blocks: list[Block]) -> Classified:
    """A `BaggingClassifier`: the mean of the chances, or of the votes where the models have no chances."""
    shares = []
    for one, features in zip(model.estimators_, model.estimators_features_, strict=True):
        found = classify(graph, one, _chosen(graph, blocks, features))
        by_chance = hasattr(one, "predict_proba")
        if by_chance and not found.chances:
            raise Unsupported(f"the chances of {type(one).__name__} are not known here", fix=_FIX)
        value = found.chances if by_chance else answered(graph, found, len(one.classes_))
        shares.append(_among(graph, value, one, np.arange(len(model.classes_))))
    return Classified(graph.op("Div", _sum(graph, shares), graph.number(float(len(shares)))))


def bagged_regressor(graph: Graph, model: Any, blocks: list[Block]) -> str:
    """A `BaggingRegressor`: the mean."""
    found = [
        regress(graph, one, _chosen(graph, blocks, features))
        for one, features in zip(model.estimators_, model.estimators_features_, strict=True)
    ]
    return graph.op("Div", _sum(graph, found), graph.number(float(len(found))))


def voting_classifier(graph: Graph, model: Any, blocks: list[Block]) -> Classified:
    """A `VotingClassifier`: the weighted mean of the chances, or the weighted votes, which are no chances."""
    found = [classify(graph, one, blocks) for one in model.estimators_]
    classes, weights = len(model.classes_), _weights(model)
    if model.voting == "soft":
        if not all(one.chances for one in found):
            raise Unsupported("a model inside has no chances that are known here", fix=_FIX)
        parts = [one.chances for one in found]
        return Classified(_mean(graph, parts, weights))
    votes = _mean(graph, [answered(graph, one, classes) for one in found], weights)
    return Classified(place=graph.op("ArgMax", votes, axis=1, keepdims=0))


def voting_regressor(graph: Graph, model: Any, blocks: list[Block]) -> str:
    """A `VotingRegressor`: the weighted mean."""
    return _mean(graph, [regress(graph, one, blocks) for one in model.estimators_], _weights(model))


def stacked_classifier(graph: Graph, model: Any, blocks: list[Block]) -> Classified:
    """A `StackingClassifier`: what its models answer is read by the last one."""
    classes = len(model.classes_)
    parts: list[Block] = []
    for one, method in zip(model.estimators_, model.stack_method_, strict=True):
        if not hasattr(one, "classes_"):
            parts.append(Block(regress(graph, one, blocks), 1))
            continue
        found = classify(graph, one, blocks)
        if method == "predict_proba" and found.chances and classes == 2:
            parts.append(Block(graph.columns(found.chances, [1]), 1))
        elif method == "predict_proba" and found.chances:
            parts.append(Block(found.chances, classes))
        elif method == "decision_function" and found.decision:
            parts.append(Block(found.decision, 1 if classes == 2 else classes))
        else:
            raise Unsupported(f"stacking by {method} of {type(one).__name__} is not converted", fix=_FIX)
    return classify(graph, model.final_estimator_, [*parts, *(blocks if model.passthrough else [])])


def stacked_regressor(graph: Graph, model: Any, blocks: list[Block]) -> str:
    """A `StackingRegressor`, likewise."""
    parts = [Block(regress(graph, one, blocks), 1) for one in model.estimators_]
    return regress(graph, model.final_estimator_, [*parts, *(blocks if model.passthrough else [])])


def _chosen(graph: Graph, blocks: list[Block], features: Any) -> list[Block]:
    places = np.asarray(features)
    if np.array_equal(places, np.arange(width_of(blocks))):
        return blocks
    single = single_columns(graph, blocks)
    return [single[int(i)] for i in places]


def _among(graph: Graph, value: str, model: Any, classes: Any) -> str:
    """Columns of the classes that a model has met, put at their places among all."""
    known = np.asarray(model.classes_)
    if len(known) == len(classes):
        return value
    spread = (known[:, None] == np.asarray(classes)[None, :]).astype(np.float64)
    return graph.op("MatMul", value, graph.constant(spread))


def _weights(model: Any) -> list[float]:
    given = model._weights_not_none
    return [1.0] * len(model.estimators_) if given is None else [float(w) for w in given]


def _mean(graph: Graph, parts: list[str], weights: list[float]) -> str:
    weighted = [graph.op("Mul", part, graph.number(weight)) for part, weight in zip(parts, weights, strict=True)]
    return graph.op("Div", _sum(graph, weighted), graph.number(sum(weights)))


def _sum(graph: Graph, parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else graph.op("Sum", *parts)
