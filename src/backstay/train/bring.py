"""Models that somebody hands over as Python objects, made into graphs. Nothing is unpickled: the object is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from backstay.bundle.manifest import InputSpec
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Schema
from backstay.train.convert import fitted
from backstay.train.convert.fitted import Conversion
from backstay.train.work import behind_inputs


def graph_of(
    model: Any,
    table: pa.Table,
    schema: Schema,
    *,
    classes: tuple[str, ...],
    example: Any = None,
    outputs: Sequence[str] = (),
    order: Sequence[str] = (),
    answering: tuple[InputSpec, ...] = (),
    task: str = "classification",
) -> Conversion:
    """The graph of a fitted scikit-learn estimator or pipeline, or of a `torch.nn.Module`, and what belongs to it.

    Args:
        table: reference rows, on which graph and object are compared.
        classes: the values of the target among these rows.
        example, outputs, order: of a module: its input, the kinds of its outputs, and the classes in their order.
        answering: the inputs of the model that this one is to succeed; the graph takes the same where it can.
        task: "classification", "regression", or "multilabel" (modules only).

    Raises:
        BackstayError: it is something else, cannot be converted, or its graph answers otherwise than itself.
    """
    found = _converted(model, table, schema, classes, example, tuple(outputs), tuple(order), task)
    content, draft = behind_inputs(found.content, found.draft, answering)
    return replace(found, content=content, draft=draft)


def _converted(
    model: Any,
    table: pa.Table,
    schema: Schema,
    classes: tuple[str, ...],
    example: Any,
    outputs: tuple[str, ...],
    order: tuple[str, ...],
    task: str,
) -> Conversion:
    if task == "multilabel" and order and set(order) != set(classes):
        stranger = sorted(set(order) ^ set(classes))[0]
        raise BackstayError(
            f"the label {stranger!r} is among those that were said, or of the reference rows, and not of both",
            fix="name every label of the reference rows, in the order of the model's scores",
        )
    bases = {f"{base.__module__}.{base.__qualname__}" for base in type(model).__mro__}
    if "torch.nn.modules.module.Module" in bases:
        from backstay.train import module

        named = tuple(order) or classes
        return module.graph_of(
            model, example, table, schema, outputs=outputs, classes=named, ordered=bool(order), task=task
        )
    if example is not None or outputs or (order and task != "multilabel"):
        raise BackstayError(
            f"example, outputs and classes are for torch modules, and this is a {type(model).__name__}",
            fix="leave them out",
        )
    if "sklearn.base.BaseEstimator" not in bases:
        raise BackstayError(
            f"a {type(model).__name__} is neither an ONNX file, a scikit-learn model nor a torch module",
            fix="export it to ONNX and name the file",
        )
    return fitted.graph_of(model, table, schema, task=task, labels=tuple(order) or classes)
