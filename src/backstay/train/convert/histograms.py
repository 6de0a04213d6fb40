"""Histogram boosting of scikit-learn: its categorical columns first, those of text by the place of their category."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from backstay.train.convert import regressors
from backstay.train.convert.blocks import Block, Classified, Unsupported, matrix, single_columns
from backstay.train.convert.classifiers import boosted_sum, is_text, known_categories, probabilities
from backstay.train.convert.graph import ML, Graph


def classifier(graph: Graph, model: Any, blocks: list[Block]) -> Classified:
    """A `HistGradientBoostingClassifier`."""
    total = boosted_sum(graph, model, _columns(graph, model, blocks))
    return Classified(probabilities(graph, total, int(model.n_trees_per_iteration_)), total)


def regressor(graph: Graph, model: Any, blocks: list[Block]) -> str:
    """A `HistGradientBoostingRegressor`."""
    return regressors.boosting(graph, model, _columns(graph, model, blocks))


def _columns(graph: Graph, model: Any, blocks: list[Block]) -> str:
    """The columns in the order in which boosted trees hold them, categories of text as their codes."""
    if model._preprocessor is None:
        return matrix(graph, blocks, type(model).__name__)
    single = single_columns(graph, blocks)
    categorical = np.flatnonzero(model.is_categorical_)
    made: list[Block] = []
    for place, known in zip(categorical, known_categories(model), strict=True):
        block = single[int(place)]
        if block.text != is_text(known):
            raise Unsupported("a categorical column of the model is of another kind here", fix="see data.columns")
        made.append(_coded(graph, block, [str(v) for v in known]) if block.text else block)
    rest = [block for i, block in enumerate(single) if i not in set(categorical.tolist())]
    return matrix(graph, made + rest, type(model).__name__)


def _coded(graph: Graph, block: Block, known: list[str]) -> Block:
    keys, codes = list(known), [float(i) for i in range(len(known))]
    if block.missing in known:
        keys, codes = [*keys, ""], [*codes, float(known.index(str(block.missing)))]
    code = graph.op(
        "LabelEncoder",
        block.name,
        domain=ML,
        keys_strings=keys,
        values_floats=codes,
        default_float=float("nan"),
    )
    return Block(graph.op("Cast", code, to=TensorProto.DOUBLE), 1)
