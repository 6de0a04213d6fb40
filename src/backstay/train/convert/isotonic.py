"""Isotonic regression of scikit-learn: straight lines between fixed points."""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.maths.arrays import FloatArray
from backstay.train.convert.graph import Graph


def regressor(graph: Graph, model: Any, matrix: str) -> str:
    """An `IsotonicRegression`; beyond its points the nearest one, or not a number where it is not to be asked there."""
    at = np.asarray(model.X_thresholds_, dtype=np.float64)
    made = interpolated(graph, matrix, at, np.asarray(model.y_thresholds_, dtype=np.float64))
    if model.out_of_bounds == "clip":
        return made
    outside = graph.op(
        "Or",
        graph.op("Less", matrix, graph.number(float(at[0]))),
        graph.op("Greater", matrix, graph.number(float(at[-1]))),
    )
    return graph.op("Where", outside, graph.number(float("nan")), made)


def interpolated(graph: Graph, column: str, at: FloatArray, height: FloatArray) -> str:
    """The height of a broken line through points [n] that are in order, at each value of a column [rows, 1]."""
    if len(at) == 1:
        return graph.op("Add", graph.op("Mul", column, graph.number(0.0)), graph.number(float(height[0])))
    inside = graph.op("Clip", column, graph.number(float(at[0])), graph.number(float(at[-1])))
    inside = graph.op("Where", graph.op("IsNaN", column), column, inside)
    inner = graph.double(graph.op("Greater", inside, graph.row(at[1:-1] if len(at) > 2 else [np.inf])))
    place = graph.op("Cast", graph.total(inner), to=7)
    slopes = np.diff(height) / np.diff(at)
    slope, low, base = (graph.op("Gather", graph.constant(v), place) for v in (slopes, at[:-1], height[:-1]))
    return graph.op("Add", base, graph.op("Mul", slope, graph.op("Sub", inside, low)))
