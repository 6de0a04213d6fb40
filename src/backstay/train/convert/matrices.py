"""Steps of scikit-learn that make a matrix of a matrix: projections, chosen columns, products, bins."""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.maths.arrays import FloatArray
from backstay.train.convert import elementwise, foreign
from backstay.train.convert.blocks import Block, matrix, single_columns, width_of
from backstay.train.convert.distances import kernel, squared
from backstay.train.convert.graph import Graph
from backstay.train.convert.linear import dense


def projection(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """`PCA` and its kind: components of the centred rows, each divided by its spread where they are whitened."""
    value = matrix(graph, blocks, type(model).__name__)
    mean = getattr(model, "mean_", None)
    if mean is not None and not (type(model).__name__ == "FastICA" and not model.whiten):
        value = graph.op("Sub", value, graph.row(mean))
    components = dense(model.components_)
    if type(model).__name__ in ("PCA", "IncrementalPCA") and model.whiten:
        spread = np.sqrt(model.explained_variance_)
        components = components / np.maximum(spread, np.finfo(np.float64).eps)[:, None]
    return _projected(graph, value, components.T)


def discriminant(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """A `LinearDiscriminantAnalysis` as a step."""
    value = matrix(graph, blocks, type(model).__name__)
    if model.solver == "svd":
        value = graph.op("Sub", value, graph.row(model.xbar_))
    return _projected(graph, value, np.asarray(model.scalings_, dtype=np.float64)[:, : model._max_components])


def centres(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """`KMeans` as a step: the distance to each centre."""
    value = matrix(graph, blocks, type(model).__name__)
    known = np.asarray(model.cluster_centers_, dtype=np.float64)
    return [Block(graph.op("Sqrt", squared(graph, value, known)), len(known))]


def nystroem(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """A `Nystroem` map of a kernel."""
    value, known = matrix(graph, blocks, type(model).__name__), dense(model.components_)
    gamma = 1.0 / known.shape[1] if model.gamma is None else float(model.gamma)
    degree, coef0 = 3.0 if model.degree is None else model.degree, 1.0 if model.coef0 is None else model.coef0
    made = kernel(graph, value, known, model.kernel, gamma=gamma, degree=degree, coef0=float(coef0))
    return _projected(graph, made, np.asarray(model.normalization_, dtype=np.float64).T)


def random_fourier(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """An `RBFSampler`."""
    made = _projected(graph, matrix(graph, blocks, "RBFSampler"), np.asarray(model.random_weights_, dtype=np.float64))[
        0
    ]
    waves = graph.op("Cos", graph.op("Add", made.name, graph.row(model.random_offset_)))
    return [Block(graph.op("Mul", waves, graph.number(float(np.sqrt(2.0 / made.width)))), made.width)]


def chosen(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """Columns that a selection has kept; text may be among them."""
    places = np.flatnonzero(model.get_support())
    if any(block.text for block in blocks):
        single = single_columns(graph, blocks)
        return [single[int(i)] for i in places]
    value = matrix(graph, blocks, type(model).__name__)
    return [Block(graph.columns(value, places.tolist()), len(places))]


def polynomial(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """`PolynomialFeatures`: for each factor a matrix of the columns that it takes, multiplied."""
    value, width = matrix(graph, blocks, "PolynomialFeatures"), width_of(blocks)
    zero = graph.op("Mul", graph.columns(value, [0]), graph.number(0.0))
    with_one = graph.side_by_side([value, graph.op("Add", zero, graph.number(1.0))])
    factors = [np.repeat(np.arange(width), powers) for powers in model.powers_]
    most = max((len(f) for f in factors), default=0)
    filled = [[*f.tolist(), *[width] * (max(most, 1) - len(f))] for f in factors]
    made = graph.columns(with_one, [f[0] for f in filled])
    for place in range(1, most):
        made = graph.op("Mul", made, graph.columns(with_one, [f[place] for f in filled]))
    return [Block(made, len(filled))]


def normalizer(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """`Normalizer`: each row over its length; a row of zeros stays."""
    value = matrix(graph, blocks, "Normalizer")
    return [Block(normed(graph, value, model.norm), width_of(blocks))]


def normed(graph: Graph, value: str, norm: str) -> str:
    """Each row over its "l1", "l2" or "max" length; a row of zeros stays."""
    if norm == "l2":
        length = graph.op("Sqrt", graph.total(graph.op("Mul", value, value)))
    elif norm == "l1":
        length = graph.total(graph.op("Abs", value))
    else:
        length = graph.op("ReduceMax", graph.op("Abs", value), graph.constant(np.array([1])), keepdims=1)
    return graph.op(
        "Div", value, graph.op("Where", graph.op("Equal", length, graph.number(0.0)), graph.number(1.0), length)
    )


def binarizer(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """`Binarizer`: 1 above the threshold."""
    value = matrix(graph, blocks, "Binarizer")
    return [Block(graph.double(graph.op("Greater", value, graph.number(float(model.threshold)))), width_of(blocks))]


def power(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """`PowerTransformer`."""
    return [Block(elementwise.power(graph, model, matrix(graph, blocks, "PowerTransformer")), width_of(blocks))]


def bins(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """`KBinsDiscretizer`: the number of the bin, or an indicator for each."""
    value = matrix(graph, blocks, "KBinsDiscretizer")
    made = []
    for place, edges in enumerate(model.bin_edges_):
        inner = np.asarray(edges[1:-1], dtype=np.float64)
        column = graph.columns(value, [place])
        over = graph.op("GreaterOrEqual", column, graph.row(inner if len(inner) else [np.inf]))
        number = graph.total(graph.double(over))
        if model.encode == "ordinal":
            made.append(Block(number, 1))
        else:
            hot = graph.op("Equal", number, graph.row(np.arange(len(edges) - 1)))
            made.append(Block(graph.double(hot), len(edges) - 1))
    return made


def quantiles(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """`QuantileTransformer` to even shares: straight lines between known values, the middle of a step where one stands
    for several. To a normal distribution skl2onnx converts it, or nobody."""
    value = matrix(graph, blocks, "QuantileTransformer")
    width = width_of(blocks)
    if model.output_distribution != "uniform":
        return [Block(foreign.columns(graph, model, value), width)]
    references = np.asarray(model.references_, dtype=np.float64)
    made = []
    for place in range(width):
        known, first = np.unique(model.quantiles_[:, place], return_index=True)
        last = len(references) - 1 - np.unique(model.quantiles_[::-1, place], return_index=True)[1]
        column = graph.columns(value, [place])
        made.append(_share(graph, column, known, references[first], references[last]))
    return [Block(graph.side_by_side(made), width)]


def _share(graph: Graph, column: str, known: FloatArray, low: FloatArray, high: FloatArray) -> str:
    """Of each value the share [rows, 1] between the known ones, which stand for shares from `low` to `high`."""
    at = graph.op("Equal", column, graph.row(known))
    middles = (low + high) / 2.0
    middles[0], middles[-1] = low[0], high[-1]
    exact = graph.total(graph.op("Mul", graph.double(at), graph.row(middles)))
    above = graph.op("Cast", graph.total(graph.double(graph.op("Greater", column, graph.row(known)))), to=7)
    # Segment k lies between values k - 1 and k; before the first and behind the last the share stands still.
    slopes = np.concatenate([[0.0], (low[1:] - high[:-1]) / np.diff(known), [0.0]])
    bases = np.concatenate([[low[0]], high])
    starts = np.concatenate([[known[0]], known])
    slope, base, start = (graph.op("Gather", graph.constant(v), above) for v in (slopes, bases, starts))
    between = graph.op("Add", base, graph.op("Mul", slope, graph.op("Sub", column, start)))
    between = graph.op("Where", graph.op("IsNaN", column), column, between)
    return graph.op("Where", graph.op("Greater", graph.total(graph.double(at)), graph.number(0.0)), exact, between)


def gaps(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """`MissingIndicator`: 1 where a value is missing, for the columns in which one was."""
    value = matrix(graph, blocks, "MissingIndicator")
    places = [int(i) for i in model.features_]
    return [Block(graph.double(graph.op("IsNaN", graph.columns(value, places))), len(places))]


def _projected(graph: Graph, value: str, onto: FloatArray) -> list[Block]:
    return [Block(graph.op("MatMul", value, graph.constant(np.ascontiguousarray(onto))), onto.shape[1])]
