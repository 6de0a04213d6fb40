"""A fitted scikit-learn classifier or pipeline as a bundle's graph, compared with itself before it is believed."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from onnx import TensorProto

from backstay.bundle.inputs import arrays_for
from backstay.bundle.manifest import InputSpec, Manifest, format_for
from backstay.bundle.model import Model, label_texts, open_session
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import ColumnKind, Schema, Task
from backstay.maths.arrays import FloatArray
from backstay.train.convert.answer import finish
from backstay.train.convert.blocks import Block, Unsupported, matrix, single_columns
from backstay.train.convert.classifiers import CLASSIFIERS, is_text, known_categories
from backstay.train.convert.frames import NUMERIC, columns_read, frame_of
from backstay.train.convert.graph import ML, Graph
from backstay.train.convert.parity import harder, require_parity
from backstay.train.convert.transformers import apply

_ROWS = 2000
_KNOWN = ("sklearn.", "lightgbm.", "xgboost.")
_OUTPUTS = ("label", "scores")


def graph_of(model: Any, table: pa.Table, schema: Schema) -> tuple[bytes, Manifest]:
    """The graph and the draft of its manifest.

    Args:
        model: a fitted classifier, or a `Pipeline` that ends in one.
        table: reference rows on which graph and model must agree to 1e-5: as they are, and once more with values taken
            out and unseen categories put in, where the model itself answers such rows.

    Raises:
        BackstayError: it is not fitted, reads other columns, has parts that cannot be converted, or differs.
    """
    if not hasattr(model, "classes_"):
        raise BackstayError(f"{type(model).__name__} has no classes_", fix="give a classifier that has been fitted")
    names = columns_read(model, schema)
    classes = tuple(map(str, label_texts(np.asarray(model.classes_), ())))
    graph, inputs = Graph(), tuple(_spec(name, schema) for name in names)
    probabilities = _classifier(graph, model, [_source(graph, s, schema) for s in inputs])
    content, outputs = finish(graph, probabilities, classes)
    draft = Manifest(
        format_version=format_for(inputs),
        task=Task.CLASSIFICATION.value,
        inputs=inputs,
        outputs=outputs,
        classes=classes,
        versions={name: version(name) for name in ("backstay", "scikit-learn", "onnx")},
    )
    compare(model, names, table, schema, content, draft)
    return content, draft


def compare(
    model: Any, names: tuple[str, ...], table: pa.Table, schema: Schema, content: bytes, draft: Manifest
) -> float:
    """The largest difference between graph and model on these rows and on harder ones.

    Raises:
        BackstayError: above 1e-5, or the model does not answer its own reference rows.
    """
    rows = table.slice(0, _ROWS).select(list(schema.features))
    session = Model(Path(), draft, open_session(content))

    def gap(asked: pa.Table, wanted: FloatArray) -> float:
        scores = session.run(arrays_for(draft, asked)).scores
        found = None if scores is None else scores.astype(np.float64)
        return require_parity(wanted, found, rows=asked, what=type(model).__name__)

    try:
        wanted = _ask(model, names, rows, schema)
    except ValueError as error:
        raise BackstayError(
            f"the model fails on the reference rows: {str(error).splitlines()[0][:200]}",
            fix="give rows as it was fitted on, with the kinds of their columns under data.columns",
        ) from error
    gaps = [gap(rows, wanted)]
    for missing, unseen in ((True, True), (True, False), (False, True)):
        for only in (None, *names):
            asked = harder(rows, missing=missing, unseen=unseen, only=only)
            try:
                wanted = _ask(model, names, asked, schema)
            except (ValueError, TypeError):
                # scikit-learn itself refuses such rows: there is nothing to be equal to. Perhaps not in every column.
                continue
            gaps.append(gap(asked, wanted))
            if only is None:
                break
    return max(gaps)


def _ask(model: Any, names: tuple[str, ...], table: pa.Table, schema: Schema) -> FloatArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return np.asarray(model.predict_proba(frame_of(model, names, table, schema)), dtype=np.float64)


def _spec(name: str, schema: Schema) -> InputSpec:
    text = schema.column(name).kind not in NUMERIC
    return InputSpec(
        f"{name}_column" if name in _OUTPUTS else name, "BYTES" if text else "FP64", (-1, 1), "column", (name,)
    )


def _source(graph: Graph, spec: InputSpec, schema: Schema) -> Block:
    """The column as scikit-learn saw it: booleans as 0 and 1."""
    value = graph.input(spec)
    kind = schema.column(spec.columns[0]).kind
    if kind is not ColumnKind.BOOLEAN:
        return Block(value, 1, text=spec.datatype == "BYTES")
    number = graph.op(
        "LabelEncoder",
        value,
        domain=ML,
        keys_strings=["false", "true"],
        values_floats=[0.0, 1.0],
        default_float=float("nan"),
    )
    return Block(graph.double(number), 1)


def _classifier(graph: Graph, model: Any, blocks: list[Block]) -> str:
    steps = [step for _, step in model.steps] if type(model).__name__ == "Pipeline" else [model]
    for step in steps[:-1]:
        blocks = apply(graph, "passthrough" if step is None else step, blocks)
    last = steps[-1]
    name = type(last).__name__
    if name == "Pipeline":
        return _classifier(graph, last, blocks)
    if name not in CLASSIFIERS or not type(last).__module__.startswith(_KNOWN):
        raise Unsupported(f"the exporter does not know {name}", fix=f"it knows {', '.join(sorted(CLASSIFIERS))}")
    if name == "HistGradientBoostingClassifier" and last._preprocessor is not None:
        blocks = _categories_first(graph, last, blocks)
    return CLASSIFIERS[name](graph, last, matrix(graph, blocks, name))


def _categories_first(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """The columns in the order in which boosted trees hold them, categories of text as their codes."""
    single = single_columns(graph, blocks)
    categorical = np.flatnonzero(model.is_categorical_)
    made: list[Block] = []
    for place, known in zip(categorical, known_categories(model), strict=True):
        block = single[int(place)]
        if block.text != is_text(known):
            raise Unsupported("a categorical column of the model is of another kind here", fix="see data.columns")
        made.append(_coded(graph, block, [str(v) for v in known]) if block.text else block)
    return made + [block for i, block in enumerate(single) if i not in set(categorical.tolist())]


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
