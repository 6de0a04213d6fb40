"""Adopt a stranger's ONNX file: infer what its inputs and outputs are, and prove it by running it once."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from backstay.bundle.datatypes import FLOATS, from_onnx, numpy_dtype
from backstay.bundle.graph import read_graph
from backstay.bundle.heads import names_in
from backstay.bundle.inputs import Arrays
from backstay.bundle.manifest import InputSpec, Manifest, OutputSpec, format_for
from backstay.bundle.model import both_sides, label_texts, open_session
from backstay.bundle.roles import classes_of, number_outputs_of, outputs_of, set_outputs_of, shape_of
from backstay.kernel.errors import BackstayError, nearest
from backstay.kernel.ids import content_id
from backstay.kernel.records import Column, ColumnKind, Task

_PROBE_ROWS = 8
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
    session = open_session(content)
    taken = named or order or tuple(_in_order(classes or ()))
    _, widths = _probe(session, inputs, outputs, taken, own=bool(named))
    has_embedding = any(o.role == "embedding" for o in outputs)
    return Manifest(
        format_version=format_for(inputs, outputs),
        task=Task.CLASSIFICATION.value,
        inputs=inputs,
        outputs=tuple(replace(o, shape=widths.get(o.name, o.shape)) for o in outputs),
        classes=taken,
        space_id=content_id("space", sha256(content).hexdigest()) if has_embedding else "",
        versions=_versions(model),
        none_label=names_in(model)[1],
    )


def _of_numbers(model: onnx.ModelProto, content: bytes, inputs: tuple[InputSpec, ...]) -> Manifest:
    """The manifest of a model that answers a number, in the target's unit."""
    outputs = number_outputs_of(model)
    _, widths = _probe(open_session(content), inputs, outputs, (), own=True)
    named = tuple(replace(o, shape=widths.get(o.name, o.shape)) for o in outputs)
    has_embedding = any(o.role == "embedding" for o in named)
    return Manifest(
        format_version=format_for(inputs, named),
        task=Task.REGRESSION.value,
        inputs=inputs,
        outputs=named,
        classes=(),
        space_id=content_id("space", sha256(content).hexdigest()) if has_embedding else "",
        versions=_versions(model),
    )


def _of_sets(
    model: onnx.ModelProto, content: bytes, inputs: tuple[InputSpec, ...], labels: tuple[str, ...]
) -> Manifest:
    """The manifest of a model that answers sets of these labels, which its outputs have in this order."""
    outputs = set_outputs_of(model)
    session = open_session(content)
    _, widths = _probe(session, inputs, tuple(replace(o, role="value") for o in outputs), (), own=True)
    named = tuple(replace(o, shape=widths.get(o.name, o.shape)) for o in outputs)
    for output in (o for o in named if o.role in ("members", "scores")):
        if output.shape != (-1, len(labels)):
            raise BackstayError(
                f"the output {output.name!r} has {output.shape[-1]} columns, the reference rows have {len(labels)} "
                f"labels ({', '.join(labels[:12])})",
                fix="give reference rows with every label that the model knows, and no other",
            )
    chances = session.run([o.name for o in named if o.role == "scores"], _made_up(inputs))[0]
    if not bool(np.all((chances >= -1e-6) & (chances <= 1.0 + 1e-6))):
        raise BackstayError(
            "the scores are not chances between 0 and 1", fix="export the model with its sigmoid inside"
        )
    has_embedding = any(o.role == "embedding" for o in named)
    return Manifest(
        format_version=format_for(inputs, named),
        task=Task.MULTILABEL.value,
        inputs=inputs,
        outputs=named,
        classes=labels,
        space_id=content_id("space", sha256(content).hexdigest()) if has_embedding else "",
        versions=_versions(model),
    )


def _versions(model: onnx.ModelProto) -> dict[str, str]:
    return {
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        **{f"opset {o.domain or 'ai.onnx'}": str(o.version) for o in model.opset_import},
    }


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
    plane = len(shape) == 3 and channels == 1 and _agree(shape[1:], (height, width))
    cube = len(shape) == 4 and (
        _agree(shape[1:], (height, width, channels)) or _agree(shape[1:], (channels, height, width))
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


def _agree(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(s in (-1, w) for s, w in zip(shape, wanted, strict=True))


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


def _probe(
    session: onnxruntime.InferenceSession,
    inputs: tuple[InputSpec, ...],
    outputs: tuple[OutputSpec, ...],
    classes: tuple[str, ...],
    *,
    own: bool,
) -> tuple[tuple[str, ...], dict[str, tuple[int, ...]]]:
    """Run it on made-up rows: the class order, and the shapes that the outputs really have."""
    wanted = [o.name for o in outputs]
    try:
        found = dict(zip(wanted, session.run(wanted, _made_up(inputs)), strict=True))
    except Exception as error:  # ONNX Runtime raises bare types of its own; the model is refused
        reason = str(error).strip().splitlines()[0][:200]
        raise BackstayError(
            f"the model fails on made-up rows: {reason}", fix="export it so that it takes any number of rows"
        ) from error
    for name, values in found.items():
        if values.shape[:1] != (_PROBE_ROWS,):
            raise BackstayError(
                f"asked with {_PROBE_ROWS} rows, the output {name!r} has shape {values.shape}",
                fix="export it with the rows as the first dimension of each output",
            )
    by_role = {o.role: found[o.name] for o in outputs if o.role != "value"}
    if "scores" in by_role:
        _check_scores(by_role["scores"], by_role.get("label"), classes, own=own)
    return classes, {name: (-1, *values.shape[1:]) for name, values in found.items()}


def _check_scores(
    raw: npt.NDArray[np.float32], label: npt.NDArray[np.object_] | None, classes: tuple[str, ...], *, own: bool
) -> None:
    scores = both_sides(raw, len(classes))
    if scores.shape[1] != len(classes):
        raise BackstayError(
            f"the model scores {scores.shape[1]} classes, the {'graph names' if own else 'reference rows have'} "
            f"{len(classes)} ({', '.join(classes[:12])})",
            fix="give reference rows with every class that the model knows",
        )
    sums = scores.sum(axis=1)
    if not (np.all(np.abs(sums - 1) < 1e-3) and np.all(scores >= -1e-6)):
        raise BackstayError(
            f"the scores are not probabilities: {_worst(scores)}",
            fix="export the model with its softmax (or sigmoid) inside",
        )
    if label is None or own:
        return
    said, top = label_texts(label, classes), np.array(classes, dtype=object)[scores.argmax(axis=1)]
    if np.all(said != top):
        raise BackstayError(
            f"the model's label {said[0]!r} is not its highest score's class, taking them as {', '.join(classes[:12])}",
            fix="say the classes in the order of its scores (`adopt --classes a,b`), or export it with class names "
            "inside (skl2onnx does)",
        )


def _worst(scores: npt.NDArray[np.float32]) -> str:
    """What speaks most clearly against chances."""
    low, sums = float(scores.min()), scores.sum(axis=1)
    if not low >= -1e-6:
        return f"one of them is {low:.4g}"
    return f"they sum to {float(sums[int(np.abs(sums - 1).argmax())]):.4g} in a row"


def _made_up(inputs: tuple[InputSpec, ...]) -> Arrays:
    rng = np.random.Generator(np.random.PCG64(0))
    arrays: Arrays = {}
    for spec in inputs:
        shape = (_PROBE_ROWS, *_inner(spec))
        if spec.datatype == "BYTES":
            arrays[spec.name] = np.full(shape, "", dtype=object)
        elif spec.datatype in FLOATS and not spec.column_shape:
            arrays[spec.name] = rng.normal(size=shape).astype(numpy_dtype(spec.datatype))
        else:
            high = 2 if not spec.column_shape else 256
            arrays[spec.name] = rng.integers(0, high, size=shape).astype(numpy_dtype(spec.datatype))
    return arrays


def _inner(spec: InputSpec) -> tuple[int, ...]:
    if not spec.column_shape or len(spec.shape) == 2:
        return tuple(spec.shape[1:])
    height, width, channels = spec.column_shape
    if len(spec.shape) == 3:
        return (height, width)
    first = not _agree(spec.shape[1:], (height, width, channels))
    return (channels, height, width) if first else (height, width, channels)
