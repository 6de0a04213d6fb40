"""Functions of one number: those of numpy that a fitted model may name, and the power transformations."""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.train.convert.blocks import Unsupported
from backstay.train.convert.graph import Graph

_ALIKE = {
    "abs": "Abs",
    "absolute": "Abs",
    "cos": "Cos",
    "exp": "Exp",
    "fabs": "Abs",
    "log": "Log",
    "negative": "Neg",
    "reciprocal": "Reciprocal",
    "sign": "Sign",
    "sin": "Sin",
    "sqrt": "Sqrt",
    "tanh": "Tanh",
}
_FIX = "do in the data what it does, or use a numpy function such as np.log1p"


def function(graph: Graph, func: Any, value: str) -> str:
    """A function of numpy by its name. Raises Unsupported for any other: a graph cannot hold Python code."""
    name = getattr(func, "__name__", "") if isinstance(func, np.ufunc) else ""
    if name in _ALIKE:
        return graph.op(_ALIKE[name], value)
    if name == "square":
        return graph.op("Mul", value, value)
    if name == "log1p":
        return graph.op("Log", graph.op("Add", value, graph.number(1.0)))
    if name == "expm1":
        return graph.op("Sub", graph.op("Exp", value), graph.number(1.0))
    if name in ("log2", "log10"):
        return graph.op("Div", graph.op("Log", value), graph.number(float(np.log(float(name[3:])))))
    raise Unsupported("FunctionTransformer runs a Python function", fix=_FIX)


def power(graph: Graph, model: Any, value: str) -> str:
    """A `PowerTransformer`, column by column, and its scaling."""
    made = graph.side_by_side(
        [
            _forward(graph, model.method, float(exponent), graph.columns(value, [place]))
            for place, exponent in enumerate(model.lambdas_)
        ]
    )
    if not model.standardize:
        return made
    scaler = model._scaler
    return graph.op("Div", graph.op("Sub", made, graph.row(scaler.mean_)), graph.row(scaler.scale_))


def power_undone(graph: Graph, model: Any, value: str) -> str:
    """The number of which a fitted `PowerTransformer` of one column makes this one."""
    if model.standardize:
        scaler = model._scaler
        value = graph.op("Add", graph.op("Mul", value, graph.row(scaler.scale_)), graph.row(scaler.mean_))
    exponent, one = float(model.lambdas_[0]), graph.number(1.0)
    if model.method == "box-cox":
        return _unpowered(graph, value, exponent)
    up = graph.op("Sub", _unpowered(graph, graph.op("Max", value, graph.number(0.0)), exponent), one)
    below = graph.op("Neg", graph.op("Min", value, graph.number(0.0)))
    down = graph.op("Sub", one, _unpowered(graph, below, 2.0 - exponent))
    return graph.op("Where", graph.op("Less", value, graph.number(0.0)), down, up)


def _forward(graph: Graph, method: str, exponent: float, value: str) -> str:
    if method == "box-cox":
        return _powered(graph, value, exponent)
    zero, one = graph.number(0.0), graph.number(1.0)
    up = _powered(graph, graph.op("Add", graph.op("Max", value, zero), one), exponent)
    low = graph.op("Sub", one, graph.op("Min", value, zero))
    down = graph.op("Neg", _powered(graph, low, 2.0 - exponent))
    return graph.op("Where", graph.op("Less", value, zero), down, up)


def _powered(graph: Graph, value: str, exponent: float) -> str:
    """(x ^ exponent - 1) / exponent, the logarithm for 0."""
    if abs(exponent) < np.spacing(1.0):
        return graph.op("Log", value)
    raised = graph.op("Pow", value, graph.number(exponent))
    return graph.op("Div", graph.op("Sub", raised, graph.number(1.0)), graph.number(exponent))


def _unpowered(graph: Graph, value: str, exponent: float) -> str:
    """(x exponent + 1) ^ (1 / exponent), the exponential for 0."""
    if abs(exponent) < np.spacing(1.0):
        return graph.op("Exp", value)
    whole = graph.op("Add", graph.op("Mul", value, graph.number(exponent)), graph.number(1.0))
    return graph.op("Pow", whole, graph.number(1.0 / exponent))
