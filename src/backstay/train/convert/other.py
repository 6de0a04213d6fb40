"""scikit-learn models that the own exporter does not know, by skl2onnx: only parts that it converts right.

It is silently wrong on trees that met missing values, so no tree comes here; every part below refuses missing values
itself (or is plain arithmetic), and its answers are compared like all others before anything is kept.
"""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx
import pyarrow as pa

from backstay.bundle.manifest import InputSpec, Manifest, OutputSpec, format_for
from backstay.bundle.model import label_texts
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Schema, Task
from backstay.train.convert.fitted import compare
from backstay.train.convert.frames import NUMERIC, columns_read

PARTS = frozenset(
    {
        "GaussianNB",
        "MLPClassifier",
        "MaxAbsScaler",
        "MinMaxScaler",
        "PCA",
        "Pipeline",
        "RobustScaler",
        "StandardScaler",
    }
)
"""Tested in tests/train/test_fitted.py; of skl2onnx 1.20 the discriminant analyses differ, so they are not here."""


def can(model: Any, schema: Schema) -> bool:
    """Whether all parts are among those, and all columns numbers."""
    steps = [step for _, step in model.steps] if type(model).__name__ == "Pipeline" else [model]
    known = all(
        step in (None, "passthrough") or (type(step).__name__ in PARTS and type(step).__module__.startswith("sklearn."))
        for step in steps
    )
    return known and all(schema.column(name).kind in NUMERIC for name in columns_read(model, schema))


def graph_of(model: Any, table: pa.Table, schema: Schema) -> tuple[bytes, Manifest]:
    """As `fitted.graph_of`, with one float32 matrix as input.

    Raises:
        BackstayError: skl2onnx is not installed or fails, or its graph differs from the model.
    """
    try:
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType
    except ModuleNotFoundError as error:
        raise BackstayError(
            f"converting {type(model).__name__} needs skl2onnx", fix="install it with `pip install skl2onnx`"
        ) from error
    names = columns_read(model, schema)
    logging.getLogger("skl2onnx").setLevel(logging.ERROR)
    try:
        made = to_onnx(
            model,
            initial_types=[("X", FloatTensorType([None, len(names)]))],
            options={id(model): {"zipmap": False}},
            target_opset={"": 20, "ai.onnx.ml": 3},
        )
    except Exception as error:  # skl2onnx raises many types of its own; nothing is kept
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise BackstayError(f"skl2onnx cannot convert the model: {reason}", fix="bring an ONNX file") from error
    onnx.checker.check_model(made)
    classes = tuple(map(str, label_texts(np.asarray(model.classes_), ())))
    label, scores = (value.name for value in made.graph.output)
    kind = "BYTES" if np.asarray(model.classes_).dtype.kind not in "biu" else "INT64"
    inputs = (InputSpec("X", "FP32", (-1, len(names)), "matrix", names),)
    draft = Manifest(
        format_version=format_for(inputs),
        task=Task.CLASSIFICATION.value,
        inputs=inputs,
        outputs=(
            OutputSpec(label, kind, (-1,), "label"),
            OutputSpec(scores, "FP32", (-1, len(classes)), "scores"),
        ),
        classes=classes,
        versions={name: version(name) for name in ("backstay", "scikit-learn", "onnx", "skl2onnx")},
    )
    content = bytes(made.SerializeToString(deterministic=True))
    compare(model, names, table, schema, content, draft)
    return content, draft
