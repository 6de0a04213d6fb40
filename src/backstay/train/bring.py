"""Models that somebody hands over as Python objects, made into graphs. Nothing is unpickled: the object is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from backstay.bundle.manifest import InputSpec, Manifest
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Schema
from backstay.train.convert import fitted, other
from backstay.train.convert.blocks import Unsupported
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
) -> tuple[bytes, Manifest]:
    """The graph of a fitted scikit-learn classifier or pipeline, or of a `torch.nn.Module`, and its draft manifest.

    Args:
        table: reference rows, on which graph and object are compared.
        classes: the values of the target among these rows.
        example, outputs, order: of a module: its input, the kinds of its outputs, and the classes in their order.
        answering: the inputs of the model that this one is to succeed; the graph takes the same where it can.

    Raises:
        BackstayError: it is something else, cannot be converted, or its graph answers otherwise than itself.
    """
    content, draft = _converted(model, table, schema, classes, example, tuple(outputs), tuple(order))
    return behind_inputs(content, draft, answering)


def _converted(
    model: Any,
    table: pa.Table,
    schema: Schema,
    classes: tuple[str, ...],
    example: Any,
    outputs: tuple[str, ...],
    order: tuple[str, ...],
) -> tuple[bytes, Manifest]:
    bases = {f"{base.__module__}.{base.__qualname__}" for base in type(model).__mro__}
    if "torch.nn.modules.module.Module" in bases:
        from backstay.train import module

        named = tuple(order) or classes
        return module.graph_of(model, example, table, schema, outputs=outputs, classes=named, ordered=bool(order))
    if example is not None or outputs or order:
        raise BackstayError(
            f"example, outputs and classes are for torch modules, and this is a {type(model).__name__}",
            fix="leave them out",
        )
    if "sklearn.base.BaseEstimator" not in bases:
        raise BackstayError(
            f"a {type(model).__name__} is neither an ONNX file, a scikit-learn model nor a torch module",
            fix="export it to ONNX and name the file",
        )
    try:
        return fitted.graph_of(model, table, schema)
    except Unsupported:
        if not other.can(model, schema):
            raise
        return other.graph_of(model, table, schema)
