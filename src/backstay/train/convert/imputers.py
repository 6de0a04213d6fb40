"""Imputers of scikit-learn that look at other rows or other columns to fill a gap."""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.train.convert.blocks import Block, Unsupported, matrix
from backstay.train.convert.distances import sparing
from backstay.train.convert.graph import Graph
from backstay.train.convert.shelf import regress


def by_neighbours(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """A `KNNImputer`: the mean of the nearest rows that have a value there, by the columns that both rows have."""
    value, known, there = _checked(graph, model, blocks), np.asarray(model._fit_X), ~model._mask_fit_X
    if callable(model.weights) or callable(model.metric):
        raise Unsupported("KNNImputer with a function of its own is not converted", fix='use weights "uniform"')
    sparing(graph, len(known))
    far = _distances(graph, value, np.where(there, known, 0.0), there.astype(np.float64))
    made = []
    for place in range(known.shape[1]):
        column = graph.columns(value, [place])
        donors = np.flatnonzero(there[:, place])
        count = graph.constant(np.array([min(model.n_neighbors, len(donors))], np.int64))
        near, at = graph.two("TopK", graph.columns(far, donors.tolist()), count, axis=1, largest=0, sorted=1)
        weight = graph.double(graph.op("Less", near, graph.number(float("inf"))))
        if model.weights == "distance":
            same = graph.double(graph.op("Equal", near, graph.number(0.0)))
            some = graph.op("Greater", graph.total(same), graph.number(0.0))
            inverse = graph.op("Div", graph.number(1.0), graph.op("Sqrt", near))
            weight = graph.op("Where", some, same, inverse)
        found = graph.op("Gather", graph.constant(known[donors, place].astype(np.float64)), at)
        whole = graph.total(weight)
        mean = graph.op("Div", graph.total(graph.op("Mul", found, weight)), whole)
        nobody = graph.op("Equal", whole, graph.number(0.0))
        mean = graph.op("Where", nobody, graph.number(float(known[donors, place].mean())), mean)
        made.append(Block(graph.op("Where", graph.op("IsNaN", column), mean, column), 1))
    return [*made, *_marks(graph, model, value)]


def in_turns(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """An `IterativeImputer`: each column's gaps by a regression on the others, as many times over as it was fitted."""
    value = _checked(graph, model, blocks)
    if model.sample_posterior:
        raise Unsupported("IterativeImputer(sample_posterior=True) answers by chance", fix="fit it without")
    width = model.n_features_in_
    begin = np.asarray(model.initial_imputer_.statistics_, dtype=np.float64)
    columns = [graph.columns(value, [place]) for place in range(width)]
    gaps = [graph.op("IsNaN", column) for column in columns]
    filled = [
        graph.op("Where", gap, graph.number(float(first)), column)
        for gap, column, first in zip(gaps, columns, begin, strict=True)
    ]
    for place, others, estimator in [tuple(turn) for turn in model.imputation_sequence_]:
        guess = regress(graph, estimator, [Block(filled[int(other)], 1) for other in others])
        low, high = (graph.number(float(np.ravel(v)[place])) for v in (model._min_value, model._max_value))
        guess = graph.op("Min", graph.op("Max", guess, low), high)
        filled[place] = graph.op("Where", gaps[place], guess, filled[place])
    return [*(Block(name, 1) for name in filled), *_marks(graph, model, value)]


def _checked(graph: Graph, model: Any, blocks: list[Block]) -> str:
    name = type(model).__name__
    if not (isinstance(model.missing_values, float) and np.isnan(model.missing_values)):
        raise Unsupported(
            f"{name}(missing_values={model.missing_values!r}) is not converted", fix="mark what is missing by NaN"
        )
    empty = model._valid_mask if hasattr(model, "_valid_mask") else ~np.isnan(model.initial_imputer_.statistics_)
    if not np.all(empty):
        raise Unsupported(f"{name} has seen no value at all in a column", fix="leave that column out")
    return matrix(graph, blocks, name)


def _distances(graph: Graph, value: str, known: Any, there: Any) -> str:
    """Squared distances [rows, known] by the columns that both have, scaled to all; infinite where there are none."""
    gaps = graph.op("IsNaN", value)
    plain = graph.op("Where", gaps, graph.number(0.0), value)
    present = graph.op("Sub", graph.number(1.0), graph.double(gaps))
    own = graph.op("MatMul", graph.op("Mul", plain, plain), graph.constant(np.ascontiguousarray(there.T)))
    both = graph.op("MatMul", plain, graph.constant(np.ascontiguousarray(-2.0 * known.T)))
    theirs = graph.op("MatMul", present, graph.constant(np.ascontiguousarray((known**2).T)))
    total = graph.op("Max", graph.op("Sum", own, both, theirs), graph.number(0.0))
    shared = graph.op("MatMul", present, graph.constant(np.ascontiguousarray(there.T)))
    scaled = graph.op("Div", graph.op("Mul", total, graph.number(float(known.shape[1]))), shared)
    return graph.op("Where", graph.op("Equal", shared, graph.number(0.0)), graph.number(float("inf")), scaled)


def _marks(graph: Graph, model: Any, value: str) -> list[Block]:
    """Where values were missing, for the columns that are to be marked."""
    if not model.add_indicator or not len(model.indicator_.features_):
        return []
    places = [int(place) for place in model.indicator_.features_]
    return [Block(graph.double(graph.op("IsNaN", graph.columns(value, places))), len(places))]
