"""`SplineTransformer` of scikit-learn: each column as the heights of smooth bumps, by the recursion of Cox and de Boor.

B(j, 0) = 1 between knots j and j + 1, else 0
B(j, d) = (x - t[j]) / (t[j+d] - t[j]) B(j, d-1) + (t[j+d+1] - x) / (t[j+d+1] - t[j+1]) B(j+1, d-1)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.maths.arrays import FloatArray
from backstay.train.convert.blocks import Block, Unsupported, matrix
from backstay.train.convert.graph import Graph


def transformer(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """A fitted `SplineTransformer` that goes on level beyond its knots."""
    if model.extrapolation != "constant":
        raise Unsupported(
            f"SplineTransformer(extrapolation={model.extrapolation!r}) is not converted", fix='fit it with "constant"'
        )
    value = matrix(graph, blocks, "SplineTransformer")
    made = []
    for place, spline in enumerate(model.bsplines_):
        weights = np.asarray(spline.c, dtype=np.float64)
        weights = weights if model.include_bias else weights[:, :-1]
        heights = _heights(graph, graph.columns(value, [place]), np.asarray(spline.t, np.float64), int(spline.k))
        product = graph.op("MatMul", heights, graph.constant(np.ascontiguousarray(weights)))
        made.append(Block(product, weights.shape[1]))
    return made


def _heights(graph: Graph, column: str, knots: FloatArray, degree: int) -> str:
    """The heights [rows, knots - degree - 1] at each value of a column [rows, 1]."""
    count = len(knots) - degree - 1
    low, high = knots[degree], knots[count]
    at = graph.op("Min", graph.op("Max", column, graph.number(float(low))), graph.number(float(high)))
    starts, ends = knots[:-1].copy(), knots[1:].copy()
    # The last inner piece holds its end too; pieces outside the inner ones hold nothing.
    ends[count - 1] = np.inf
    starts[:degree], starts[count:] = np.inf, np.inf
    inside = graph.op("And", graph.op("GreaterOrEqual", at, graph.row(starts)), graph.op("Less", at, graph.row(ends)))
    heights = graph.double(inside)
    for order in range(1, degree + 1):
        width = len(knots) - 1 - order
        left, right = graph.columns(heights, list(range(width))), graph.columns(heights, list(range(1, width + 1)))
        up = _share(graph, graph.op("Sub", at, graph.row(knots[:width])), knots[order : order + width] - knots[:width])
        end = knots[order + 1 : order + 1 + width]
        down = _share(graph, graph.op("Sub", graph.row(end), at), end - knots[1 : 1 + width])
        heights = graph.op("Add", graph.op("Mul", up, left), graph.op("Mul", down, right))
    return heights


def _share(graph: Graph, part: str, whole: FloatArray) -> str:
    """The part over the whole, 0 where knots coincide."""
    return graph.op("Mul", part, graph.row(np.where(whole == 0, 0.0, 1.0 / np.where(whole == 0, 1.0, whole))))
