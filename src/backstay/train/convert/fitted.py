"""A fitted scikit-learn estimator or pipeline as a bundle's graph, compared with itself before it is believed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import onnx
import pyarrow as pa
from onnx import TensorProto

from backstay.bundle.manifest import SEVERAL_TOKENIZERS, InputSpec, Manifest, OutputSpec, format_for
from backstay.bundle.model import label_texts
from backstay.bundle.tokens import FURTHER_FILE, TOKENIZER_FILE
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import ColumnKind, Schema, Task
from backstay.train.convert import sets
from backstay.train.convert.answer import finish_at, finish_number
from backstay.train.convert.asking import CHANCES, DECISION, NOTHING, NUMBER, SETS, Asking, needed, scale_of
from backstay.train.convert.blocks import Block, Unsupported
from backstay.train.convert.comparison import Compared, compare
from backstay.train.convert.frames import NUMERIC, columns_read, vector_length
from backstay.train.convert.graph import ML, Graph
from backstay.train.convert.shelf import both_sides, classify, place_of, regress

_ROWS = 2000
_OUTPUTS = ("label", "scores")
# A fitted object that another version has made, or that was changed by hand: nothing is kept.
_FAULTS = (
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
)
UNCALIBRATED = "softmax of the decision function over {scale:.6g}: an order of sureness, not chances"
"""What a manifest says of scores that are no chances."""

DECIDED = "sigmoid of the decision function, label by label: an order of sureness, not chances"


class Make(Protocol):
    """Makes the graph of a model of one task and compares it; `single`: what skl2onnx gives in single precision."""

    def __call__(
        self, model: Any, names: tuple[str, ...], rows: pa.Table, schema: Schema, *, single: bool
    ) -> Conversion: ...


@dataclass(frozen=True, slots=True)
class Conversion:
    """A graph, the draft of its manifest, the further files of its bundle, and how it was compared (None: not here)."""

    content: bytes
    draft: Manifest
    files: dict[str, bytes] = field(default_factory=dict)
    compared: Compared | None = None


def graph_of(
    model: Any, table: pa.Table, schema: Schema, *, task: str = "classification", labels: tuple[str, ...] = ()
) -> Conversion:
    """The graph of a fitted estimator, or of a `Pipeline` that ends in one, and what belongs to it.

    Args:
        table: reference rows, around which graph and model are asked 1,000 rows or more and must agree to 1e-5.
        task: "classification", "regression" for a model that answers a number, or "multilabel" for one that answers
            sets of `labels`, in the order of the columns that it was fitted on.

    Raises:
        BackstayError: it is not fitted, reads other columns, has parts that cannot be converted, or differs.
    """
    name, numbers = type(model).__name__, task == "regression"
    if task == "multilabel":
        return _guarded(_Sets(labels), model, table, schema)
    if numbers and hasattr(model, "classes_"):
        raise BackstayError(f"{name} answers classes, and the project's task is regression", fix="correct `task`")
    if not numbers and not hasattr(model, "classes_"):
        raise BackstayError(
            f"{name} has no classes_",
            fix='give a classifier that has been fitted; of one that answers numbers, set task = "regression"',
        )
    if isinstance(getattr(model, "classes_", None), list):
        raise BackstayError(
            f"{name} answers {len(model.classes_)} targets at once, which is not converted",
            fix='fit a classifier for each target; where they are labels of one set, set task = "multilabel"',
        )
    return _guarded(_number if numbers else _classes, model, table, schema)


def _guarded(make: Make, model: Any, table: pa.Table, schema: Schema) -> Conversion:
    name, names = type(model).__name__, columns_read(model, schema)
    rows = table.slice(0, _ROWS).select(list(names))
    if rows.num_rows == 0:
        raise BackstayError("there are no reference rows to compare on", fix="give rows as the model was fitted on")
    try:
        return make(model, names, rows, schema, single=False)
    except _FAULTS as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise Unsupported(
            f"{name} is laid out in a way that the exporter does not know: {reason}",
            fix="fit it with the version of scikit-learn that is installed here, or bring an ONNX file",
        ) from error
    except Different as error:
        if not error.borrowed:
            raise
        # Some operators that skl2onnx writes are right in single precision only.
        try:
            return make(model, names, rows, schema, single=True)
        except BackstayError:
            raise error from None


class Different(BackstayError):
    """The graph answers otherwise than the model. `borrowed`: whether parts of it come from skl2onnx."""

    borrowed = False


def _classes(model: Any, names: tuple[str, ...], rows: pa.Table, schema: Schema, *, single: bool) -> Conversion:
    classes = tuple(map(str, label_texts(np.asarray(model.classes_), ())))
    method = CHANCES if hasattr(model, CHANCES) else DECISION if hasattr(model, DECISION) else NOTHING
    asking, recipe = Asking(model, names, schema, method), {}
    graph, inputs = Graph(single=single), tuple(_spec(name, schema) for name in names)
    found = classify(graph, model, [_source(graph, s, schema) for s in inputs])
    place = place_of(graph, found, len(classes))
    if method == CHANCES and not found.chances:
        raise Unsupported(f"the chances of {type(model).__name__} are not known here", fix="bring an ONNX file")
    scores = found.chances if method == CHANCES else ""
    if method == DECISION and found.decision:
        decisions = _decisions(asking, rows)
        if decisions.ndim == 1 or decisions.shape[1] == len(classes):
            asking = replace(asking, scale=scale_of(decisions))
            scaled = graph.op("Div", both_sides(graph, found.decision, len(classes)), graph.number(asking.scale))
            scores = graph.op("Softmax", scaled, axis=1)
            recipe["scores"] = UNCALIBRATED.format(scale=asking.scale)
    if not scores:
        asking = replace(asking, method=NOTHING)
    absent = _absent(graph, inputs, needed(asking, rows, schema))
    if absent:
        flat = graph.op("Squeeze", absent, graph.constant(np.array([1])))
        place = graph.op("Where", flat, graph.constant(np.array(-1)), place)
        scores = scores and graph.op("Where", absent, graph.number(float("nan")), scores)
    inputs = _declared(graph, inputs)
    content, outputs = finish_at(graph, place, scores, classes)
    return _compared(Task.CLASSIFICATION, asking, rows, graph, content, inputs, outputs, classes, recipe)


@dataclass(frozen=True, slots=True)
class _Sets:
    """Makes the graph of a model that answers sets of these labels."""

    labels: tuple[str, ...]

    def __call__(
        self, model: Any, names: tuple[str, ...], rows: pa.Table, schema: Schema, *, single: bool
    ) -> Conversion:
        count = len(sets.estimator_of(model).estimators_)
        if count != len(self.labels):
            raise BackstayError(
                f"the model knows {count} labels, {len(self.labels)} were said or are in the reference rows "
                f"({', '.join(self.labels[:12])})",
                fix="give reference rows with every label that the model knows, and no other",
            )
        asking = Asking(model, names, schema, SETS)
        graph, inputs = Graph(single=single), tuple(_spec(name, schema) for name in names)
        members, scores = sets.written(graph, model, [_source(graph, spec, schema) for spec in inputs])
        absent = _absent(graph, inputs, needed(asking, rows, schema))
        if absent:
            scores = graph.op("Where", absent, graph.number(float("nan")), scores)
        inputs = _declared(graph, inputs)
        content, outputs = sets.finish(graph, members, scores, count)
        recipe = {} if sets.has_chances(model) else {"scores": DECIDED}
        return _compared(Task.MULTILABEL, asking, rows, graph, content, inputs, outputs, self.labels, recipe)


def _number(model: Any, names: tuple[str, ...], rows: pa.Table, schema: Schema, *, single: bool) -> Conversion:
    graph, inputs = Graph(single=single), tuple(_spec(name, schema) for name in names)
    value = regress(graph, model, [_source(graph, s, schema) for s in inputs])
    asking = Asking(model, names, schema, NUMBER)
    absent = _absent(graph, inputs, needed(asking, rows, schema))
    if absent:
        value = graph.op("Where", absent, graph.number(float("nan")), value)
    inputs = _declared(graph, inputs)
    content, outputs = finish_number(graph, value, "value" if "value" not in names else "predicted_value")
    return _compared(Task.REGRESSION, asking, rows, graph, content, inputs, outputs, (), {})


def _compared(
    task: Task,
    asking: Asking,
    rows: pa.Table,
    graph: Graph,
    content: bytes,
    inputs: tuple[InputSpec, ...],
    outputs: tuple[OutputSpec, ...],
    classes: tuple[str, ...],
    recipe: dict[str, Any],
) -> Conversion:
    borrowed = sorted(set(graph.borrowed))
    packages = ("backstay", "scikit-learn", "onnx", *(("skl2onnx",) if borrowed else ()))
    draft = Manifest(
        format_version=SEVERAL_TOKENIZERS if len(graph.lexicons) > 1 else format_for(inputs, outputs),
        task=task.value,
        inputs=inputs,
        outputs=outputs,
        classes=classes,
        recipe={**recipe, **({"converted_by_skl2onnx": borrowed} if borrowed else {})},
        versions={name: version(name) for name in packages},
    )
    contents = [lexicon.content() for lexicon in graph.lexicons]
    files = {
        TOKENIZER_FILE if place == 0 else FURTHER_FILE.format(number=place + 1): content
        for place, content in enumerate(contents)
    }
    name = type(asking.model).__name__
    try:
        compared = compare(asking, rows, content, draft, files, what=name, borrowed=borrowed)
    except BackstayError as error:
        found = Different(error.what, fix=error.fix)
        found.borrowed = bool(borrowed)
        raise found from error
    return Conversion(content, draft, files, compared)


def _decisions(asking: Asking, rows: pa.Table) -> Any:
    try:
        return asking.decisions(rows)
    except (ValueError, TypeError, AttributeError) as error:
        raise BackstayError(
            f"the model fails on the reference rows: {str(error).splitlines()[0][:200]}",
            fix="give rows as it was fitted on, with the kinds of their columns under data.columns",
        ) from error


def _spec(name: str, schema: Schema) -> InputSpec:
    wide = vector_length([name], schema)
    if wide:
        return InputSpec(name if name not in _OUTPUTS else f"{name}_column", "FP32", (-1, wide), "vector", (name,))
    text = schema.column(name).kind not in NUMERIC
    return InputSpec(
        f"{name}_column" if name in _OUTPUTS else name, "BYTES" if text else "FP64", (-1, 1), "column", (name,)
    )


def _source(graph: Graph, spec: InputSpec, schema: Schema) -> Block:
    """The column as scikit-learn saw it: booleans as 0 and 1, a vector as its numbers."""
    kind = schema.column(spec.columns[0]).kind
    if kind is ColumnKind.VECTOR:
        return Block(graph.double(spec.name), spec.shape[1])
    if kind is not ColumnKind.BOOLEAN:
        return Block(spec.name, 1, text=spec.datatype == "BYTES")
    number = graph.op(
        "LabelEncoder",
        spec.name,
        domain=ML,
        keys_strings=["false", "true"],
        values_floats=[0.0, 1.0],
        default_float=float("nan"),
    )
    return Block(graph.double(number), 1)


def _absent(graph: Graph, inputs: tuple[InputSpec, ...], names: tuple[str, ...]) -> str:
    """bool [rows, 1]: whether a number is missing that the model must have; "" where it needs none of them."""
    gaps = [graph.op("IsNaN", spec.name) for spec in inputs if spec.columns[0] in names]
    if not gaps:
        return ""
    whole = graph.op("Cast", graph.side_by_side(gaps), to=TensorProto.FLOAT)
    most = graph.op("ReduceMax", whole, graph.constant(np.array([1])), keepdims=1)
    return graph.op("Cast", most, to=TensorProto.BOOL)


def _declared(graph: Graph, inputs: tuple[InputSpec, ...]) -> tuple[InputSpec, ...]:
    """The inputs, those that are cut into words or letters by the bundle's tokenizer marked as such."""
    cut = {name for lexicon in graph.lexicons for name in lexicon.columns}
    made = []
    for spec in inputs:
        if spec.name in cut and graph.read_by(spec.name) != {"TfIdfVectorizer"}:
            raise Unsupported(
                f"the column {spec.columns[0]!r} is read both as a text and as a category",
                fix="give it to the model twice, under two names",
            )
        made.append(replace(spec, adapter="tokens") if spec.name in cut else spec)
        graph.input(made[-1])
    return tuple(made)
