"""Support vector machines and kernel ridge regression of scikit-learn, in double precision."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from onnx import TensorProto

from backstay.maths.arrays import FloatArray
from backstay.train.convert import foreign
from backstay.train.convert.blocks import Classified, Unsupported
from backstay.train.convert.distances import kernel
from backstay.train.convert.graph import Graph
from backstay.train.convert.linear import dense


def classifier(graph: Graph, model: Any, matrix: str) -> Classified:
    """An `SVC` or `NuSVC`. Of more than two classes each two are compared, and the most often preferred is answered,
    the first of them where two are level; a decision adds how clear the preferences were, as scikit-learn does."""
    value = _support(graph, model, matrix)
    if len(model.classes_) == 2:
        weights = dense(model.dual_coef_).T
        decision = graph.op("Add", graph.op("MatMul", value, graph.constant(weights)), graph.row(model.intercept_))
        place = graph.op("Cast", graph.op("Greater", decision, graph.number(0.0)), to=TensorProto.INT64)
        place = graph.op("Squeeze", place, graph.constant(np.array([1])))
    else:
        pairs = graph.op("MatMul", value, graph.constant(_pair_weights(model)))
        pairs = graph.op("Add", pairs, graph.row(model.intercept_))
        decision, place = _preferred(graph, pairs, len(model.classes_), bool(model.break_ties))
    if not hasattr(model, "predict_proba"):
        shaped = model.decision_function_shape == "ovr" or len(model.classes_) == 2
        return Classified(decision=decision if shaped else "", place=place)
    # The chances come of an iteration that stops early; ONNX Runtime's own operator repeats it step by step.
    return Classified(foreign.classifier(graph, model, matrix), decision, place)


def regressor(graph: Graph, model: Any, matrix: str) -> str:
    """An `SVR` or `NuSVR`."""
    product = graph.op("MatMul", _support(graph, model, matrix), graph.constant(dense(model.dual_coef_).T))
    return graph.op("Add", product, graph.row(model.intercept_))


def ridge(graph: Graph, model: Any, matrix: str) -> str:
    """A `KernelRidge`."""
    if not isinstance(model.kernel, str) or model.kernel_params:
        raise Unsupported("KernelRidge with a function as its kernel is not converted", fix='fit it with "rbf"')
    gamma = 1.0 / model.X_fit_.shape[1] if model.gamma is None else float(model.gamma)
    known = dense(model.X_fit_)
    made = kernel(graph, matrix, known, model.kernel, gamma=gamma, degree=model.degree, coef0=float(model.coef0))
    return graph.op("MatMul", made, graph.constant(np.asarray(model.dual_coef_, dtype=np.float64).reshape(-1, 1)))


def _support(graph: Graph, model: Any, matrix: str) -> str:
    """The kernel with each support vector."""
    if not isinstance(model.kernel, str):
        raise Unsupported(
            f"{type(model).__name__} with a function as its kernel is not converted", fix='fit with "rbf"'
        )
    known, gamma = dense(model.support_vectors_), float(model._gamma)
    return kernel(graph, matrix, known, model.kernel, gamma=gamma, degree=model.degree, coef0=float(model.coef0))


def _pair_weights(model: Any) -> FloatArray:
    """[support vectors, pairs of classes]: what each vector weighs where two classes are compared."""
    weights, ends = dense(model.dual_coef_), np.cumsum(model.n_support_)
    starts = ends - model.n_support_
    pairs = list(combinations(range(len(ends)), 2))
    made = np.zeros((weights.shape[1], len(pairs)))
    for place, (first, second) in enumerate(pairs):
        of_first, of_second = (slice(starts[k], ends[k]) for k in (first, second))
        made[of_first, place] = weights[second - 1, of_first]
        made[of_second, place] = weights[first, of_second]
    return made


def _preferred(graph: Graph, pairs: str, classes: int, break_ties: bool) -> tuple[str, str]:
    """The decision [rows, classes] and the place of the answer, of the pairs' decisions."""
    sides = list(combinations(range(classes), 2))
    firsts, seconds = np.zeros((len(sides), classes)), np.zeros((len(sides), classes))
    for place, (first, second) in enumerate(sides):
        firsts[place, first] = seconds[place, second] = 1.0
    wins = graph.double(graph.op("Greater", pairs, graph.number(0.0)))
    losses = graph.op("Sub", graph.number(1.0), wins)
    votes = graph.op(
        "Add",
        graph.op("MatMul", wins, graph.constant(firsts)),
        graph.op("MatMul", losses, graph.constant(seconds)),
    )
    clear = graph.op("MatMul", pairs, graph.constant(firsts - seconds))
    below = graph.op("Mul", graph.number(3.0), graph.op("Add", graph.op("Abs", clear), graph.number(1.0)))
    decision = graph.op("Add", votes, graph.op("Div", clear, below))
    return decision, graph.op("ArgMax", decision if break_ties else votes, axis=1, keepdims=0)
