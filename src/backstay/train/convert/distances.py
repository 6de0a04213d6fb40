"""Distances of each row to some fixed rows, double [rows, known], and the kernels that are made of them.

Up to 64 columns the squares are summed column by column, so that rows that are alike are at a distance of exactly 0;
of more, |x|^2 - 2 x.y + |y|^2 about the known rows' mean. A row needs memory for each known one: the graph says how
many are to be asked together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backstay.maths.arrays import FloatArray
from backstay.train.convert.blocks import Unsupported
from backstay.train.convert.graph import Graph

_MOST_SUMMED = 64
_NUMBERS_AT_ONCE = 4_000_000


def squared(graph: Graph, matrix: str, known: FloatArray) -> str:
    """Squared Euclidean distances."""
    known = np.asarray(known, dtype=np.float64)
    if known.shape[1] <= _MOST_SUMMED:
        return _summed(graph, matrix, known, lambda gap: graph.op("Mul", gap, gap))
    sparing(graph, len(known))
    centre = known.mean(axis=0)
    moved, rows = known - centre, graph.op("Sub", matrix, graph.row(centre))
    own = graph.total(graph.op("Mul", rows, rows))
    product = graph.op("MatMul", rows, graph.constant(-2.0 * moved.T))
    whole = graph.op("Add", graph.op("Add", product, own), graph.row(np.sum(moved**2, axis=1)))
    return graph.op("Max", whole, graph.number(0.0))


def of_metric(graph: Graph, matrix: str, known: FloatArray, metric: str, power: float) -> str:
    """Distances by the metric of scikit-learn's neighbours; `power` is that of "minkowski".

    Raises:
        Unsupported: another one.
    """
    known = np.asarray(known, dtype=np.float64)
    if metric in ("euclidean", "l2") or (metric == "minkowski" and power == 2):
        return graph.op("Sqrt", squared(graph, matrix, known))
    if metric in ("manhattan", "cityblock", "l1") or (metric == "minkowski" and power == 1):
        return _summed(graph, matrix, known, lambda gap: graph.op("Abs", gap))
    if metric == "minkowski":
        raised = graph.number(float(power))
        total = _summed(graph, matrix, known, lambda gap: graph.op("Pow", graph.op("Abs", gap), raised))
        return graph.op("Pow", total, graph.number(1.0 / power))
    if metric == "cosine":
        sparing(graph, len(known))
        own = graph.op("Sqrt", graph.total(graph.op("Mul", matrix, matrix)))
        unit = graph.op(
            "Div", matrix, graph.op("Where", graph.op("Equal", own, graph.number(0.0)), graph.number(1.0), own)
        )
        lengths = np.linalg.norm(known, axis=1, keepdims=True)
        target = known / np.where(lengths == 0, 1.0, lengths)
        return graph.op("Sub", graph.number(1.0), graph.op("MatMul", unit, graph.constant(target.T)))
    raise Unsupported(
        f"distances by {metric!r} are not known here", fix='fit it with metric "euclidean", "manhattan" or "cosine"'
    )


def kernel(
    graph: Graph, matrix: str, known: FloatArray, kind: str, *, gamma: float, degree: float, coef0: float
) -> str:
    """The kernel of each row with each known one: "linear", "poly", "rbf" or "sigmoid".

    Raises:
        Unsupported: another one, or a function.
    """
    known = np.asarray(known, dtype=np.float64)
    if kind == "rbf":
        return graph.op("Exp", graph.op("Mul", squared(graph, matrix, known), graph.number(-gamma)))
    if kind not in ("linear", "poly", "polynomial", "sigmoid"):
        raise Unsupported(
            f"the kernel {kind!r} is not known here", fix='fit it with "rbf", "linear", "poly" or "sigmoid"'
        )
    sparing(graph, len(known))
    product = graph.op("MatMul", matrix, graph.constant(known.T))
    if kind == "linear":
        return product
    whole = graph.op("Add", graph.op("Mul", product, graph.number(gamma)), graph.number(coef0))
    return graph.op("Tanh", whole) if kind == "sigmoid" else graph.op("Pow", whole, graph.number(float(degree)))


def sparing(graph: Graph, width: int) -> None:
    """Let no more rows be asked together than are held with this many numbers each."""
    most = max(1, _NUMBERS_AT_ONCE // max(width, 1))
    graph.rows_at_once = min(graph.rows_at_once or most, most)


def _summed(graph: Graph, matrix: str, known: FloatArray, made: Callable[[str], str]) -> str:
    sparing(graph, len(known))
    parts = [
        made(graph.op("Sub", graph.columns(matrix, [place]), graph.row(known[:, place])))
        for place in range(known.shape[1])
    ]
    total = parts[0]
    for part in parts[1:]:
        total = graph.op("Add", total, part)
    return total
