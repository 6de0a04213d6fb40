"""Adopt a stranger's ONNX file: infer what its inputs and outputs are, and prove it by running it once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx

from backstay.bundle.datatypes import FLOATS, from_onnx
from backstay.bundle.graph import read_graph
from backstay.bundle.heads import names_in
from backstay.bundle.inputs import fits
from backstay.bundle.manifest import InputSpec, Manifest, OutputSpec, format_for
from backstay.bundle.model import open_session
from backstay.bundle.probe import made_up, probe
from backstay.bundle.roles import classes_of, number_outputs_of, outputs_of, set_outputs_of, shape_of
from backstay.kernel.errors import BackstayError, nearest
from backstay.kernel.ids import content_id
from backstay.kernel.records import Column, ColumnKind, Task

_WHOLE = re.compile(r"-?[0-9]+")
_NUMERIC = (ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.BOOLEAN)
_TEXTUAL = (ColumnKind.CATEGORY, ColumnKind.TEXT, ColumnKind.BOOLEAN)


def inspect_onnx(
    path: Path,
    features: tuple[Column, ...],
    classes: tuple[str, ...] | None,
    *,
    task: str = "classification",
    order: tuple[str, ...] = (),
) -> Manifest:
    """The manifest of a foreign model, without its files: hand it to `write_bundle`.

    Args:
        features: the columns that the model may read, in the order of its matrix input where it has one.
        classes: the target's values; used where the graph does not carry its own.
        task: "regression" for a model that answers a number, "multilabel" for one that answers sets of `classes`.
        order: the classes in the order of the scores, where the graph does not name them; sorted where it is empty.

    Raises:
        BackstayError: a pickle, a map as output, inputs that match no columns, scores that are no probabilities.
    """
    if not features:
        raise BackstayError("there are no feature columns", fix="give reference rows with the model's inputs")
    model, content = read_graph(path)
    inputs = _inputs(model, features)
    if task == "regression":
        return _of_numbers(model, content, inputs)
    _check_order(order, classes or ())
    if task == "multilabel":
        return _of_sets(model, content, inputs, order or classes or ())
    outputs = outputs_of(model)
    label = next((o.name for o in outputs if o.role == "label"), None)
    named = classes_of(model, label)
    if set(classes or ()) == {"false", "true"} and named == ("0", "1"):
        named = ("false", "true")
    if order and named and order != named:
        raise BackstayError(
            f"the graph names its classes itself, as {', '.join(named[:12])}", fix="leave out the order that was said"
        )
    taken = named or order or tuple(_in_order(classes or ()))
    outputs = _as_probed(outputs, probe(open_session(content), inputs, outputs, taken, own=bool(named)))
    manifest = _manifest(model, content, inputs, outputs, Task.CLASSIFICATION, taken)
    return replace(manifest, none_label=names_in(model)[1])


def _of_numbers(model: onnx.ModelProto, content: bytes, inputs: tuple[InputSpec, ...]) -> Manifest:
    """The manifest of a model that answers a number, in the target's unit."""
    outputs = number_outputs_of(model)
    outputs = _as_probed(outputs, probe(open_session(content), inputs, outputs, (), own=True))
    return _manifest(model, content, inputs, outputs, Task.REGRESSION, ())


def _of_sets(
    model: onnx.ModelProto, content: bytes, inputs: tuple[InputSpec, ...], labels: tuple[str, ...]
) -> Manifest:
    """The manifest of a model that answers sets of these labels, which its outputs have in this order."""
    outputs = set_outputs_of(model)
    session = open_session(content)
    shapes = probe(session, inputs, tuple(replace(o, role="value") for o in outputs), (), own=True)
    outputs = _as_probed(outputs, shapes)
    for output in (o for o in outputs if o.role in ("members", "scores")):
        if output.shape != (-1, len(labels)):
            raise BackstayError(
                f"the output {output.name!r} has {output.shape[-1]} columns, the reference rows have {len(labels)} "
                f"labels ({', '.join(labels[:12])})",
                fix="give reference rows with every label that the model knows, and no other",
            )
    chances = session.run([o.name for o in outputs if o.role == "scores"], made_up(inputs))[0]
    if not bool(np.all((chances >= -1e-6) & (chances <= 1.0 + 1e-6))):
        raise BackstayError(
            "the scores are not chances between 0 and 1", fix="export the model with its sigmoid inside"
        )
    return _manifest(model, content, inputs, outputs, Task.MULTILABEL, labels)


def _as_probed(outputs: tuple[OutputSpec, ...], shapes: Mapping[str, tuple[int, ...]]) -> tuple[OutputSpec, ...]:
    return tuple(replace(o, shape=shapes[o.name]) for o in outputs)


def _manifest(
    model: onnx.ModelProto,
    content: bytes,
    inputs: tuple[InputSpec, ...],
    outputs: tuple[OutputSpec, ...],
    task: Task,
    classes: tuple[str, ...],
) -> Manifest:
    has_embedding = any(o.role == "embedding" for o in outputs)
    return Manifest(
        format_version=format_for(inputs, outputs),
        task=task.value,
        inputs=inputs,
        outputs=outputs,
        classes=classes,
        space_id=content_id("space", sha256(content).hexdigest()) if has_embedding else "",
        versions={
            "producer": f"{model.producer_name} {model.producer_version}".strip(),
            **{f"opset {o.domain or 'ai.onnx'}": str(o.version) for o in model.opset_import},
        },
    )


def names_classes(content: bytes) -> bool:
    """Whether a graph says itself which classes its scores are of."""
    model = onnx.load_from_string(content)
    return bool(classes_of(model, next((o.name for o in outputs_of(model) if o.role == "label"), None)))


def _check_order(order: tuple[str, ...], classes: tuple[str, ...]) -> None:
    """Raise for an order of classes with one of them twice, or without one of the target's values."""
    if not order:
        return
    twice = next((c for i, c in enumerate(order) if c in order[:i]), None)
    lacking = sorted(set(classes) - set(order))
    if twice is not None or lacking:
        raise BackstayError(
            f"the order of classes names {twice!r} twice"
            if twice is not None
            else f"the order of classes lacks {lacking[0]!r}, which the target holds",
            fix="name each class once, in the order of the model's scores",
        )


def _in_order(classes: tuple[str, ...]) -> list[str]:
    """Class names as a model orders them: numbers by size, other names by letters."""
    numeric = all(_WHOLE.fullmatch(c) for c in classes)
    return sorted(classes, key=(lambda c: (int(c), c)) if numeric else (lambda c: (0, c)))


def _inputs(model: onnx.ModelProto, features: tuple[Column, ...]) -> tuple[InputSpec, ...]:
    constants = {t.name for t in model.graph.initializer}
    values = [v for v in model.graph.input if v.name not in constants]
    if not values:
        raise BackstayError("the model has no inputs", fix="export it with its inputs")
    for value in values:
        if value.type.WhichOneof("value") != "tensor_type":
            raise BackstayError(f"the input {value.name!r} is not a tensor", fix="export the model with tensor inputs")
    by_name = {c.name: c for c in features}
    if len(values) == 1 and (values[0].name not in by_name or len(features) == 1):
        return (_single(values[0], features),)
    strangers = [v.name for v in values if v.name not in by_name]
    if strangers:
        raise BackstayError(
            f"the model's input {strangers[0]!r} is none of the columns", fix=nearest(strangers[0], by_name)
        )
    return tuple(_one_column(v, by_name[v.name]) for v in values)


def _single(value: onnx.ValueInfoProto, features: tuple[Column, ...]) -> InputSpec:
    datatype, shape = from_onnx(value.type.tensor_type.elem_type, value.name), shape_of(value)
    images = [c for c in features if c.kind is ColumnKind.IMAGE]
    if images and len(features) == 1:
        return _image(value.name, datatype, shape, images[0])
    if images:
        raise BackstayError(
            f"the model has one input and there are {len(features)} feature columns, an image among them",
            fix="name those that it reads: `adopt --features a,b`, or data.features of the project file",
        )
    if len(features) == 1 and features[0].kind is ColumnKind.VECTOR:
        return _vector(value.name, datatype, shape, features[0])
    if len(features) == 1 and shape in ((-1,), (-1, 1), (-1, -1)):
        return _one_column(value, features[0])
    if len(shape) != 2:
        raise BackstayError(f"the input {value.name!r} has shape {shape}", fix="export it as [rows, features]")
    if shape[1] not in (-1, len(features)):
        raise BackstayError(
            f"the model takes {shape[1]} values a row and the rows have {len(features)} feature columns "
            f"({', '.join(c.name for c in features[:12])})",
            fix="name those that it reads, in its order: `adopt --features a,b`, or data.features of the project file",
        )
    for column in features:
        _same_kind(column, datatype)
    return InputSpec(value.name, datatype, (-1, len(features)), "matrix", tuple(c.name for c in features))


def _image(name: str, datatype: str, shape: tuple[int, ...], column: Column) -> InputSpec:
    height, width, channels = column.shape
    pixels = height * width * channels
    flat = len(shape) == 2 and shape[1] in (-1, pixels)
    plane = len(shape) == 3 and channels == 1 and fits(shape[1:], (height, width))
    cube = len(shape) == 4 and (
        fits(shape[1:], (height, width, channels)) or fits(shape[1:], (channels, height, width))
    )
    if datatype == "BYTES" or not (flat or plane or cube):
        raise BackstayError(
            f"the model's input {name!r} is {datatype} {shape}, the images are {column.shape}",
            fix="export it for images of this size, or resize the images",
        )
    whole = (-1, pixels) if flat else shape
    return InputSpec(name, datatype, whole, "matrix" if flat else "image", (column.name,), column.shape)


def _vector(name: str, datatype: str, shape: tuple[int, ...], column: Column) -> InputSpec:
    length = column.shape[0]
    if datatype not in FLOATS or len(shape) != 2 or shape[1] not in (-1, length):
        raise BackstayError(
            f"the model's input {name!r} is {datatype} {shape}, the vectors in {column.name!r} have {length} numbers",
            fix="export it for vectors of this length",
        )
    return InputSpec(name, datatype, (-1, length), "vector", (column.name,))


def _one_column(value: onnx.ValueInfoProto, column: Column) -> InputSpec:
    datatype, shape = from_onnx(value.type.tensor_type.elem_type, value.name), shape_of(value)
    if column.kind is ColumnKind.IMAGE:
        return _image(value.name, datatype, shape, column)
    if column.kind is ColumnKind.VECTOR:
        return _vector(value.name, datatype, shape, column)
    if shape not in ((-1,), (-1, 1), (-1, -1)):
        raise BackstayError(
            f"the input {value.name!r} has shape {shape}, one column has one value a row", fix="export it as [rows, 1]"
        )
    _same_kind(column, datatype)
    return InputSpec(value.name, datatype, (-1,) if shape == (-1,) else (-1, 1), "column", (column.name,))


def _same_kind(column: Column, datatype: str) -> None:
    if column.kind not in (_TEXTUAL if datatype == "BYTES" else _NUMERIC):
        raise BackstayError(
            f"the column {column.name!r} is {column.kind.value}, the model takes {datatype} there",
            fix="correct the kind under data.columns, or name the columns that the model reads: "
            "`adopt --features a,b`, or data.features of the project file",
        )
