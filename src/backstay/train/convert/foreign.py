"""What the own exporter does not know, by skl2onnx: one part of a pipeline at a time, put into our graph.

The only file of the product that imports it (extra `[fitting]`). It is silently wrong here and there (1.20: trees that
met missing values, linear discriminants of two classes), so it is asked only for what is written nowhere here, never
for trees, and what comes of it is compared like all else before anything is kept: first in double precision, and where
that cannot be in single.
"""

from __future__ import annotations

import logging
import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, inliner

from backstay.bundle.model import open_session
from backstay.kernel.errors import BackstayError
from backstay.train.convert.blocks import Unsupported
from backstay.train.convert.graph import Graph

_OPSETS = {"": 20, "ai.onnx.ml": 3}


def classifier(graph: Graph, model: Any, matrix: str) -> str:
    """The chances of a classifier, double [rows, classes].

    Raises:
        BackstayError: skl2onnx is not installed. Unsupported: it does not know the model.
    """
    outputs = _inlined(graph, model, matrix, {"zipmap": False})
    if len(outputs) != 2:
        raise Unsupported(f"skl2onnx gives no chances for {type(model).__name__}", fix="bring an ONNX file")
    return graph.double(outputs[1])


def values(graph: Graph, model: Any, matrix: str) -> str:
    """The answer of a regressor, double [rows, 1]. Raises likewise."""
    outputs = _inlined(graph, model, matrix, {})
    shape = graph.constant(np.array([-1, 1], np.int64))
    return graph.op("Reshape", graph.double(outputs[0]), shape)


def columns(graph: Graph, model: Any, matrix: str) -> str:
    """What a transformer makes of a matrix, double [rows, columns]. Raises likewise."""
    return graph.double(_inlined(graph, model, matrix, {})[0])


def _inlined(graph: Graph, model: Any, matrix: str, options: dict[str, Any]) -> list[str]:
    name, width = type(model).__name__, getattr(model, "n_features_in_", None)
    if width is None:
        raise Unsupported(f"{name} does not say how many columns it reads", fix="bring an ONNX file")
    if any(hasattr(one, "tree_") for one in (model, *np.ravel(getattr(model, "estimators_", ())))):
        # It is silently wrong on trees that met missing values, or never comes back.
        raise Unsupported(f"{name} holds trees, which do not go through skl2onnx", fix="bring an ONNX file")
    if find_spec("skl2onnx") is None:
        raise BackstayError(
            f"converting {name} needs skl2onnx", fix="install it with `pip install 'backstay[fitting]'`"
        )
    reasons = []
    for double in (False,) if graph.single else (True, False):
        try:
            made = _converted(model, int(width), options, double)
            open_session(bytes(made.SerializeToString()))
        except Exception as error:  # noqa: BLE001 - skl2onnx raises many types of its own; nothing is kept
            reasons.append(str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__)
        else:
            given = matrix if double else graph.op("Cast", matrix, to=TensorProto.FLOAT)
            graph.borrowed.append(name)
            return graph.inline(made, given)
    unknown = "Unable to find a shape calculator" in reasons[-1]
    raise Unsupported(
        f"neither the own exporter nor skl2onnx can convert {name}" + ("" if unknown else f": {reasons[-1]}"),
        fix="replace this part by a usual one (docs/own_model.md lists them), or bring an ONNX file",
    )


def _converted(model: Any, width: int, options: dict[str, Any], double: bool) -> onnx.ModelProto:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    logging.getLogger("skl2onnx").setLevel(logging.ERROR)
    kind = DoubleTensorType if double else FloatTensorType
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made: onnx.ModelProto = to_onnx(
            model,
            initial_types=[("X", kind([None, width]))],
            options={id(model): options} if options else None,
            target_opset=_OPSETS,
        )
    if made.functions:
        made = inliner.inline_local_functions(made)
    onnx.checker.check_model(made)
    return made
