"""A foreign model asked once with made-up rows: that it runs, the shapes it answers in, that its scores are chances."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime

from backstay.bundle.datatypes import FLOATS, numpy_dtype
from backstay.bundle.inputs import Arrays, channels_first
from backstay.bundle.manifest import InputSpec, OutputSpec
from backstay.bundle.model import both_sides, label_texts
from backstay.kernel.errors import BackstayError

ROWS = 8


def probe(
    session: onnxruntime.InferenceSession,
    inputs: tuple[InputSpec, ...],
    outputs: tuple[OutputSpec, ...],
    classes: tuple[str, ...],
    *,
    own: bool,
) -> dict[str, tuple[int, ...]]:
    """The shapes that the outputs really have, by name.

    Args:
        classes: in the order of the scores. own: the graph names them itself.

    Raises BackstayError for a model that fails, or whose scores are not chances of these classes.
    """
    wanted = [o.name for o in outputs]
    try:
        found = dict(zip(wanted, session.run(wanted, made_up(inputs)), strict=True))
    except Exception as error:  # ONNX Runtime raises bare types of its own; the model is refused
        reason = str(error).strip().splitlines()[0][:200]
        raise BackstayError(
            f"the model fails on made-up rows: {reason}", fix="export it so that it takes any number of rows"
        ) from error
    for name, values in found.items():
        if values.shape[:1] != (ROWS,):
            raise BackstayError(
                f"asked with {ROWS} rows, the output {name!r} has shape {values.shape}",
                fix="export it with the rows as the first dimension of each output",
            )
    by_role = {o.role: found[o.name] for o in outputs if o.role != "value"}
    if "scores" in by_role:
        _check_scores(by_role["scores"], by_role.get("label"), classes, own=own)
    return {name: (-1, *values.shape[1:]) for name, values in found.items()}


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


def made_up(inputs: tuple[InputSpec, ...]) -> Arrays:
    """The same rows at every call, as the tensors of these inputs."""
    rng = np.random.Generator(np.random.PCG64(0))
    arrays: Arrays = {}
    for spec in inputs:
        shape = (ROWS, *_inner(spec))
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
    return (channels, height, width) if channels_first(spec) else (height, width, channels)
