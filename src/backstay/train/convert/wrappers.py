"""Estimators of scikit-learn around another one: pipelines, searches, calibration, thresholds, one class at a time."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from onnx import TensorProto

from backstay.train.convert.blocks import Block, Classified, Unsupported, single_columns
from backstay.train.convert.constants import repeated
from backstay.train.convert.distances import squared
from backstay.train.convert.graph import Graph
from backstay.train.convert.isotonic import regressor as isotonic
from backstay.train.convert.shelf import classify, place_of, regress
from backstay.train.convert.transformers import apply, undone

Answer = Classified | str


def either(graph: Graph, model: Any, blocks: list[Block]) -> Answer:
    """A classifier or a regressor, whichever it is."""
    return classify(graph, model, blocks) if hasattr(model, "classes_") else regress(graph, model, blocks)


def pipeline(graph: Graph, model: Any, blocks: list[Block]) -> Answer:
    """A `Pipeline`: each step reads what the one before has made."""
    steps = [step for _, step in model.steps]
    for step in steps[:-1]:
        blocks = apply(graph, "passthrough" if step is None else step, blocks)
    return either(graph, steps[-1], blocks)


def best(graph: Graph, model: Any, blocks: list[Block]) -> Answer:
    """A search over settings: what it found best."""
    return either(graph, model.best_estimator_, blocks)


def frozen(graph: Graph, model: Any, blocks: list[Block]) -> Answer:
    """A `FrozenEstimator`: what it holds."""
    return either(graph, model.estimator, blocks)


def inner(graph: Graph, model: Any, blocks: list[Block]) -> Answer:
    """`RANSACRegressor` and `SelfTrainingClassifier`: the estimator that they fitted."""
    return either(graph, model.estimator_, blocks)


def chosen_columns(graph: Graph, model: Any, blocks: list[Block]) -> Answer:
    """`RFE` and `RFECV`: their estimator on the columns that they kept."""
    single = single_columns(graph, blocks)
    return either(graph, model.estimator_, [single[int(i)] for i in np.flatnonzero(model.support_)])


def transformed_target(graph: Graph, model: Any, blocks: list[Block]) -> str:
    """A `TransformedTargetRegressor`: its regressor's answer, the transformation of the target undone."""
    return undone(graph, model.transformer_, regress(graph, model.regressor_, blocks))


def with_threshold(graph: Graph, model: Any, blocks: list[Block]) -> Classified:
    """A classifier of two classes that answers the positive one from a threshold on."""
    found = classify(graph, model.estimator_, blocks)
    threshold: Any = getattr(model, "best_threshold_", getattr(model, "threshold", None))
    method = "predict_proba" if model.response_method == "auto" and found.chances else model.response_method
    by_chance = method == "predict_proba"
    if threshold == "auto":
        threshold = 0.5 if by_chance else 0.0
    positive = getattr(model, "pos_label", None)
    if hasattr(model, "_curve_scorer"):
        positive = model._curve_scorer._get_pos_label()
    at = 1 if positive is None else int(np.flatnonzero(model.classes_ == positive)[0])
    value = graph.columns(found.chances, [at]) if by_chance else found.decision
    if not value:
        raise Unsupported(f"the {method} of the model inside is not known here", fix='use response_method="auto"')
    if not by_chance and at == 0:
        value = graph.op("Neg", value)
    reached = graph.op("Cast", graph.op("GreaterOrEqual", value, graph.number(float(threshold))), to=TensorProto.INT64)
    reached = graph.op("Squeeze", reached, graph.constant(np.array([1])))
    place = reached if at == 1 else graph.op("Sub", graph.constant(np.array(1)), reached)
    return Classified(found.chances, found.decision, place)


def calibrated(graph: Graph, model: Any, blocks: list[Block]) -> Classified:
    """A `CalibratedClassifierCV`: the mean of its calibrated models."""
    parts = [_calibrated(graph, one, blocks) for one in model.calibrated_classifiers_]
    total = parts[0]
    for part in parts[1:]:
        total = graph.op("Add", total, part)
    return Classified(graph.op("Div", total, graph.number(float(len(parts)))))


def _calibrated(graph: Graph, model: Any, blocks: list[Block]) -> str:
    found = classify(graph, model.estimator, blocks)
    decided = hasattr(model.estimator, "decision_function")
    value, classes = found.decision if decided else found.chances, len(model.classes)
    if not value or len(model.estimator.classes_) != classes:
        raise Unsupported(
            f"what the calibration reads of {type(model.estimator).__name__} is not known here",
            fix="calibrate a model that has seen all classes and has a decision function or chances",
        )
    if model.method == "temperature":
        if decided:
            logits = graph.side_by_side([graph.op("Neg", value), value]) if classes == 2 else value
        else:
            logits = graph.op("Log", graph.op("Add", value, graph.number(1e-12)))
        beta = graph.number(float(model.calibrators[0].beta_))
        return graph.op("Softmax", graph.op("Mul", logits, beta), axis=1)
    if classes == 2:
        second = _mapped(graph, model.calibrators[0], value if decided else graph.columns(value, [1]))
        return graph.side_by_side([graph.op("Sub", graph.number(1.0), second), second])
    each = [_mapped(graph, one, graph.columns(value, [i])) for i, one in enumerate(model.calibrators)]
    return _shared(graph, graph.side_by_side(each), classes)


def _mapped(graph: Graph, calibrator: Any, value: str) -> str:
    if type(calibrator).__name__ == "IsotonicRegression":
        return isotonic(graph, calibrator, value)
    steep = graph.op("Mul", value, graph.number(-float(calibrator.a_)))
    return graph.op("Sigmoid", graph.op("Sub", steep, graph.number(float(calibrator.b_))))


def _shared(graph: Graph, each: str, classes: int) -> str:
    """Brought to a sum of 1; alike for all classes where all are 0."""
    total = graph.total(each)
    nothing = graph.op("Equal", total, graph.number(0.0))
    return graph.op("Where", nothing, graph.number(1.0 / classes), graph.op("Div", each, total))


def one_against_rest(graph: Graph, model: Any, blocks: list[Block]) -> Classified:
    """A `OneVsRestClassifier` of classes: a model for each, of which the surest is answered."""
    if model.multilabel_:
        raise Unsupported("OneVsRestClassifier answers sets of labels", fix="export it to ONNX and name the file")
    parts = [_second(graph, one, blocks) for one in model.estimators_]
    chances = [part.chances for part in parts]
    decision = graph.side_by_side([part.decision for part in parts]) if all(p.decision for p in parts) else ""
    if len(parts) == 1:
        second = chances[0]
        both = graph.side_by_side([graph.op("Sub", graph.number(1.0), second), second]) if second else ""
        return Classified(both, decision)
    # Asked for its class, it compares the decisions where there are some, and the chances as they are else.
    each = graph.side_by_side(chances) if all(chances) else ""
    place = graph.op("ArgMax", decision or each, axis=1, keepdims=0)
    if not each:
        return Classified(decision=decision, place=place)
    total = graph.total(each)
    total = graph.op("Where", graph.op("Equal", total, graph.number(0.0)), graph.number(1.0), total)
    return Classified(graph.op("Div", each, total), decision, place)


def _second(graph: Graph, model: Any, blocks: list[Block]) -> Classified:
    """The chance [rows, 1] of the second of two classes, and its decision."""
    if not hasattr(model, "classes_"):
        raise Unsupported("a class of OneVsRestClassifier was in no row or in all", fix="fit it on rows of all classes")
    found = classify(graph, model, blocks)
    return Classified(_chance_of_second(graph, found), found.decision)


def one_against_one(graph: Graph, model: Any, blocks: list[Block]) -> Classified:
    """A `OneVsOneClassifier`: votes of each two classes, told apart by how clear they were."""
    classes = len(model.classes_)
    votes: list[str] = [graph.number(0.0)] * classes
    clear: list[str] = [graph.number(0.0)] * classes
    single = single_columns(graph, blocks) if model.pairwise_indices_ else blocks
    for place, (first, second) in enumerate(combinations(range(classes), 2)):
        indices = model.pairwise_indices_
        chosen = [single[int(i)] for i in indices[place]] if indices else blocks
        one = model.estimators_[place]
        found = classify(graph, one, chosen)
        value = found.decision if hasattr(one, "decision_function") else _chance_of_second(graph, found)
        if not value:
            raise Unsupported("a model inside has no decision", fix="use one with a decision function or chances")
        won = graph.double(graph.op("Unsqueeze", place_of(graph, found, 2), graph.constant(np.array([1]))))
        votes[second] = graph.op("Add", votes[second], won)
        votes[first] = graph.op("Add", votes[first], graph.op("Sub", graph.number(1.0), won))
        clear[second] = graph.op("Add", clear[second], value)
        clear[first] = graph.op("Sub", clear[first], value)
    whole, sums = graph.side_by_side(votes), graph.side_by_side(clear)
    below = graph.op("Mul", graph.number(3.0), graph.op("Add", graph.op("Abs", sums), graph.number(1.0)))
    scores = graph.op("Add", whole, graph.op("Div", sums, below))
    if classes == 2:
        decision = graph.columns(scores, [1])
        at = 0.0 if hasattr(model.estimators_[0], "decision_function") else 0.5
        over = graph.op("Cast", graph.op("Greater", decision, graph.number(at)), to=TensorProto.INT64)
        return Classified(decision=decision, place=graph.op("Squeeze", over, graph.constant(np.array([1]))))
    return Classified(decision=scores)


def by_code(graph: Graph, model: Any, blocks: list[Block]) -> Classified:
    """An `OutputCodeClassifier`: the class whose code is nearest to the models' answers."""
    values = []
    for one in model.estimators_:
        if type(one).__name__ == "_ConstantPredictor":
            values.append(repeated(graph, blocks[0].name, np.asarray(one.y_, dtype=np.float64).reshape(1, -1)))
            continue
        found = classify(graph, one, blocks)
        values.append(found.decision if hasattr(one, "decision_function") else _chance_of_second(graph, found))
        if not values[-1]:
            raise Unsupported("a model inside has no decision", fix="use one with a decision function or chances")
    far = squared(graph, graph.side_by_side(values), np.asarray(model.code_book_, dtype=np.float64))
    return Classified(place=graph.op("ArgMin", far, axis=1, keepdims=0))


def _chance_of_second(graph: Graph, found: Classified) -> str:
    return graph.columns(found.chances, [1]) if found.chances else ""
