"""Preprocessing steps of scikit-learn by their class: each adds itself to a graph.

An encoder of categories is not translated but asked: it transforms each category that it knows, an unseen value and a
missing one, and the graph holds its answers as a table. So dropped, grouped and specially numbered categories come out
as scikit-learn has them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from backstay.maths.arrays import FloatArray
from backstay.train.convert import elementwise, foreign, matrices, splines, vectorizers
from backstay.train.convert.blocks import Block, Unsupported, matrix, single_columns, width_of
from backstay.train.convert.classifiers import is_missing, is_text
from backstay.train.convert.frames import places_read
from backstay.train.convert.graph import ML, Graph
from backstay.train.convert.parity import UNSEEN
from backstay.train.convert.shelf import function

Step = Callable[[Graph, Any, list[Block]], list[Block]]


def apply(graph: Graph, step: Any, blocks: list[Block]) -> list[Block]:
    """Add a fitted step to the graph.

    Raises:
        Unsupported: its class or one of its options is not known here.
    """
    if isinstance(step, str):
        return blocks if step == "passthrough" else []
    name = type(step).__name__
    if type(step).__module__.startswith("sklearn."):
        if name in STEPS:
            return STEPS[name](graph, step, blocks)
        if name in ASKING_MODELS:
            # These hold regressors, whose shelf needs this file.
            made: list[Block] = function(ASKING_MODELS[name])(graph, step, blocks)
            return made
    return _borrowed(graph, step, blocks)


def _borrowed(graph: Graph, step: Any, blocks: list[Block]) -> list[Block]:
    """What skl2onnx makes of it. How wide that is, the step itself is asked with a row."""
    name = type(step).__name__
    made = foreign.columns(graph, step, matrix(graph, blocks, name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        width = step.transform(np.zeros((1, width_of(blocks)))).shape[1]
    return [Block(made, int(width))]


def undone(graph: Graph, step: Any, value: str) -> str:
    """The number [rows, 1] of which a fitted transformation of a target makes this one.

    Raises:
        Unsupported: it is none of the scalers, power transformations and functions of numpy.
    """
    name = type(step).__name__
    if name == "FunctionTransformer":
        return value if step.inverse_func is None else elementwise.function(graph, step.inverse_func, value)
    if name == "PowerTransformer":
        return elementwise.power_undone(graph, step, value)
    if name == "MinMaxScaler":
        return graph.op("Div", graph.op("Sub", value, graph.row(step.min_)), graph.row(step.scale_))
    if name not in ("StandardScaler", "RobustScaler", "MaxAbsScaler"):
        raise Unsupported(f"a target transformed by {name} is not converted", fix="use np.log1p, or a scaler")
    if step.scale_ is not None:
        value = graph.op("Mul", value, graph.row(step.scale_))
    centre = getattr(step, "mean_", None) if name == "StandardScaler" else getattr(step, "center_", None)
    return value if centre is None else graph.op("Add", value, graph.row(centre))


def pipeline(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """Each step reads what the one before has made."""
    for _, step in model.steps:
        blocks = apply(graph, "passthrough" if step is None else step, blocks)
    return blocks


def column_transformer(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """Each step reads its columns; what they make stands side by side, in the order of the steps."""
    single = single_columns(graph, blocks)
    places, read = model._transformer_to_input_indices, places_read(model)
    # At the head of a model only the columns that it reads are there; behind other steps all that these made.
    there = read if read is not None and len(single) == len(read) else list(range(len(single)))
    made: list[Block] = []
    for name, step, _ in model.transformers_:
        chosen = [single[there.index(i)] for i in places.get(name, []) if i in there]
        if chosen:
            made += _weighted(graph, apply(graph, step, chosen), model.transformer_weights, name)
    return made


def feature_union(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """Each step reads all columns; what they make stands side by side."""
    made: list[Block] = []
    for name, step in model.transformer_list:
        made += _weighted(graph, apply(graph, step, blocks), model.transformer_weights, name)
    return made


def _weighted(graph: Graph, blocks: list[Block], weights: Any, name: str) -> list[Block]:
    weight = (weights or {}).get(name)
    if weight is None:
        return blocks
    return [Block(graph.op("Mul", block.name, graph.number(float(weight))), block.width) for block in blocks]


def function_transformer(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """The one that does nothing, or a function of numpy: any other is Python code, which a graph cannot hold."""
    if model.func is None:
        return blocks
    if model.kw_args:
        raise Unsupported("FunctionTransformer(kw_args=...) is not converted", fix="do in the data what it does")
    value = matrix(graph, blocks, "FunctionTransformer")
    return [Block(elementwise.function(graph, model.func, value), width_of(blocks))]


def standard_scaler(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """(x - mean) / scale."""
    return _linear(graph, model, blocks, minus=model.mean_ if model.with_mean else None, over=model.scale_)


def robust_scaler(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """(x - median) / range."""
    return _linear(graph, model, blocks, minus=model.center_, over=model.scale_)


def max_abs_scaler(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """x / largest."""
    return _linear(graph, model, blocks, minus=None, over=model.scale_)


def min_max_scaler(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """x * scale + offset."""
    value, width = matrix(graph, blocks, "MinMaxScaler"), width_of(blocks)
    scaled = graph.op("Mul", value, graph.constant(model.scale_.reshape(1, -1).astype(np.float64)))
    moved = graph.op("Add", scaled, graph.row(model.min_))
    if model.clip:
        low, high = (graph.number(float(v)) for v in model.feature_range)
        moved = graph.op("Where", graph.op("IsNaN", moved), moved, graph.op("Clip", moved, low, high))
    return [Block(moved, width)]


def _linear(graph: Graph, model: Any, blocks: list[Block], *, minus: Any, over: Any) -> list[Block]:
    value = matrix(graph, blocks, type(model).__name__)
    if minus is not None:
        value = graph.op("Sub", value, graph.constant(np.asarray(minus, np.float64).reshape(1, -1)))
    if over is not None:
        value = graph.op("Div", value, graph.constant(np.asarray(over, np.float64).reshape(1, -1)))
    return [Block(value, width_of(blocks))]


def simple_imputer(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """Missing numbers get the column's statistic, missing text its filling; with an indicator where asked for."""
    if not is_missing(model.missing_values):
        raise Unsupported(
            f"SimpleImputer(missing_values={model.missing_values!r}) is not converted",
            fix="mark what is missing by NaN",
        )
    single = single_columns(graph, blocks)
    if any(block.text for block in single):
        if model.add_indicator or not all(block.text for block in single):
            raise Unsupported(
                "a SimpleImputer over text and numbers, or with an indicator of text, is not converted",
                fix="use one imputer for the text and one for the numbers",
            )
        return [
            Block(block.name, 1, text=True, missing=block.missing if block.missing is not None else str(filling))
            for block, filling in zip(single, model.statistics_, strict=True)
        ]
    fillings = np.asarray(model.statistics_, dtype=np.float64)
    kept = [i for i, filling in enumerate(fillings) if not np.isnan(filling)]
    if not kept:
        raise Unsupported("the SimpleImputer has seen no value at all", fix="leave these columns out")
    value = graph.side_by_side([single[i].name for i in kept])
    gaps = graph.op("IsNaN", value)
    made = [Block(graph.op("Where", gaps, graph.constant(fillings[kept].reshape(1, -1)), value), len(kept))]
    if model.add_indicator and len(model.indicator_.features_):
        marked = [single[int(i)].name for i in model.indicator_.features_]
        made.append(Block(graph.double(graph.op("IsNaN", graph.side_by_side(marked))), len(marked)))
    return made


def encoder(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """A `OneHotEncoder`, `OrdinalEncoder` or `TargetEncoder`: for each column a table of its answers."""
    single = single_columns(graph, blocks)
    each = len(model.classes_) if getattr(model, "target_type_", "") == "multiclass" else 1
    ends = np.cumsum(getattr(model, "_n_features_outs", [each] * len(single)))
    made = []
    for place, (block, start, end) in enumerate(zip(single, [0, *ends[:-1]], ends, strict=True)):
        known = [v for v in model.categories_[place] if not is_missing(v)]
        answers = _ask(model, place, known, block.missing)[:, start:end]
        index = _place_of(graph, block, np.array(known))
        made.append(Block(graph.op("Gather", graph.constant(answers), index, axis=0), int(end - start)))
    return [block for block in made if block.width]


def _ask(model: Any, place: int, known: list[Any], filling: str | None) -> FloatArray:
    """The encoder's answers to rows that hold in one column each known value, a missing one and an unseen one."""
    values = np.array(known)
    text = is_text(values)
    missing = next((v for v in model.categories_[place] if is_missing(v)), np.nan) if filling is None else filling
    probes = [*known, missing, UNSEEN if text else float(values.max()) + 1.0]
    rows = np.empty((len(probes), len(model.categories_)), dtype=object)
    for other, categories in enumerate(model.categories_):
        rows[:, other] = categories[0]
    rows[:, place] = probes
    if not any(is_text(np.asarray([v for v in c if not is_missing(v)])) for c in model.categories_):
        rows = rows.astype(np.float64)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = model.transform(rows)
    except ValueError as error:
        name = type(model).__name__
        allow = '"ignore"' if name == "OneHotEncoder" else '"use_encoded_value", unknown_value=-1'
        raise Unsupported(
            f"{name} raises an error at a category that it does not know, or at a missing one, and a graph cannot: "
            f"{str(error).splitlines()[0][:120]}",
            fix=f"say what such a value is to be: set_params(handle_unknown={allow}) on the fitted encoder will do",
        ) from error
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found, dtype=np.float64)


def _place_of(graph: Graph, block: Block, known: npt.NDArray[Any]) -> str:
    """int64 [rows]: the place of the value among the known ones, one behind them where missing, two where unseen."""
    count = len(known)
    if block.text:
        if not is_text(known):
            raise Unsupported("a column of text meets an encoder of numbers", fix="correct its kind under data.columns")
        place = graph.op(
            "LabelEncoder",
            block.name,
            domain=ML,
            keys_strings=[*map(str, known), ""],
            values_int64s=list(range(count + 1)),
            default_int64=count + 1,
        )
        return graph.op("Squeeze", place, graph.constant(np.array([1], np.int64)))
    if is_text(known):
        raise Unsupported("a column of numbers meets an encoder of text", fix="correct its kind under data.columns")
    same = graph.op("Equal", block.name, graph.constant(known.astype(np.float64).reshape(1, -1)))
    hot = graph.side_by_side(
        [graph.op("Cast", part, to=TensorProto.INT64) for part in (same, graph.op("IsNaN", block.name))]
    )
    rest = graph.constant(np.array([1], np.int64))
    none = graph.op("Sub", rest, graph.op("ReduceSum", hot, rest, keepdims=1))
    return graph.op("ArgMax", graph.side_by_side([hot, none]), axis=1, keepdims=0)


def _width(blocks: list[Block]) -> int:
    return sum(block.width for block in blocks)


ASKING_MODELS = {"IterativeImputer": "imputers:in_turns", "KNNImputer": "imputers:by_neighbours"}
STEPS: dict[str, Step] = {
    **dict.fromkeys(
        (
            "GenericUnivariateSelect",
            "RFE",
            "RFECV",
            "SelectFdr",
            "SelectFpr",
            "SelectFromModel",
            "SelectFwe",
            "SelectKBest",
            "SelectPercentile",
            "SequentialFeatureSelector",
            "VarianceThreshold",
        ),
        matrices.chosen,
    ),
    **dict.fromkeys(
        (
            "FastICA",
            "GaussianRandomProjection",
            "IncrementalPCA",
            "PCA",
            "SparseRandomProjection",
            "TruncatedSVD",
        ),
        matrices.projection,
    ),
    "Binarizer": matrices.binarizer,
    "ColumnTransformer": column_transformer,
    "CountVectorizer": vectorizers.counts,
    "FeatureUnion": feature_union,
    "FunctionTransformer": function_transformer,
    "KBinsDiscretizer": matrices.bins,
    "KMeans": matrices.centres,
    "LinearDiscriminantAnalysis": matrices.discriminant,
    "MaxAbsScaler": max_abs_scaler,
    "MinMaxScaler": min_max_scaler,
    "MiniBatchKMeans": matrices.centres,
    "MissingIndicator": matrices.gaps,
    "Normalizer": matrices.normalizer,
    "Nystroem": matrices.nystroem,
    "OneHotEncoder": encoder,
    "OrdinalEncoder": encoder,
    "Pipeline": pipeline,
    "PolynomialFeatures": matrices.polynomial,
    "PowerTransformer": matrices.power,
    "QuantileTransformer": matrices.quantiles,
    "RBFSampler": matrices.random_fourier,
    "RobustScaler": robust_scaler,
    "SimpleImputer": simple_imputer,
    "SplineTransformer": splines.transformer,
    "StandardScaler": standard_scaler,
    "TargetEncoder": encoder,
    "TfidfTransformer": vectorizers.tf_idf_step,
    "TfidfVectorizer": vectorizers.tf_idf,
}
