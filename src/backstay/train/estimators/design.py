"""Rows as one matrix, in numpy and again in a graph: what is learned from and what answers must be the same numbers."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from backstay.maths.arrays import FloatArray, IntArray
from backstay.train.convert.graph import Graph
from backstay.train.estimators.contract import Problem, Rows, Tensors

MOST_LEVELS = 254
"""Commonest values of a category that are told apart, besides *missing*; rarer ones count as unseen."""


def one_hot(rows: Rows, problem: Problem, *, filled: bool) -> FloatArray:
    """Numbers, then an indicator for *missing* and each known value of each category; an unseen value has none.

    Args:
        filled: put missing numbers at the mean and add an indicator of them; else they stay NaN.
    """
    parts = [rows.numbers]
    if filled:
        gaps = np.isnan(rows.numbers)
        parts = [np.where(gaps, 0.0, rows.numbers), gaps.astype(np.float64)]
    for place, levels in enumerate(problem.levels):
        parts.append((rows.codes[:, place, None] == _told_apart(levels)).astype(np.float64))
    return np.column_stack(parts)


def write_one_hot(graph: Graph, tensors: Tensors, problem: Problem, *, filled: bool) -> str:
    """The graph of `one_hot`."""
    parts: list[str] = []
    if tensors.numbers is not None:
        parts.append(tensors.numbers)
        if filled:
            gaps = graph.op("IsNaN", tensors.numbers)
            parts = [graph.op("Where", gaps, graph.constant(np.zeros(1)), tensors.numbers), graph.double(gaps)]
    if tensors.codes is not None:
        for place, levels in enumerate(problem.levels):
            code = graph.columns(tensors.codes, [place])
            parts.append(graph.double(graph.op("Equal", code, graph.constant(_told_apart(levels)))))
    return graph.side_by_side(parts)


def categories_first(rows: Rows) -> FloatArray:
    """Categories as numbers (0 missing, from 1 on the known values, NaN unseen or rare), then the numbers."""
    known = (rows.codes >= 1) & (rows.codes <= MOST_LEVELS)
    return np.column_stack([np.where(known, rows.codes - 1.0, np.nan), rows.numbers])


def to_be_binned(matrix: FloatArray) -> FloatArray:
    """The matrix to fit boosted trees to: a column without any value is 0 throughout.

    scikit-learn cannot bin an empty column. Of a constant no split can come, so no tree reads what such a column holds
    later, and the fitted model's answers stay those of the graph.
    """
    return np.where(np.isnan(matrix).all(axis=0), 0.0, matrix)


def write_categories_first(graph: Graph, tensors: Tensors) -> str:
    """The graph of `categories_first`."""
    parts: list[str] = []
    if tensors.codes is not None:
        strange = graph.op(
            "Or",
            graph.op("Less", tensors.codes, graph.constant(np.array([1], np.int64))),
            graph.op("Greater", tensors.codes, graph.constant(np.array([MOST_LEVELS], np.int64))),
        )
        values = graph.op("Sub", graph.op("Cast", tensors.codes, to=TensorProto.DOUBLE), graph.constant(np.ones(1)))
        parts.append(graph.op("Where", strange, graph.constant(np.array([np.nan])), values))
    if tensors.numbers is not None:
        parts.append(tensors.numbers)
    return graph.side_by_side(parts)


def _told_apart(levels: int) -> IntArray:
    """The codes that have an indicator: 1 (missing) and those of the commonest values."""
    return np.arange(1, 2 + min(levels, MOST_LEVELS - 1), dtype=np.int64)
