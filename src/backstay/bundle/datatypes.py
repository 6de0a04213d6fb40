"""Tensor types in three tongues: the Open Inference Protocol's, numpy's and ONNX's."""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError, nearest

_NUMPY: dict[str, type[Any]] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
# Numbers of onnx.TensorProto.DataType, fixed by the ONNX standard.
_ONNX: dict[int, str] = {
    1: "FP32",
    2: "UINT8",
    3: "INT8",
    4: "UINT16",
    5: "INT16",
    6: "INT32",
    7: "INT64",
    8: "BYTES",
    9: "BOOL",
    10: "FP16",
    11: "FP64",
    12: "UINT32",
    13: "UINT64",
}
FLOATS = frozenset({"FP16", "FP32", "FP64"})
INTEGERS = frozenset(name for name in _NUMPY if "INT" in name)


def numpy_dtype(datatype: str) -> np.dtype[Any]:
    """The numpy type of a protocol type; BYTES are objects, each a `str`.

    >>> numpy_dtype("FP32")
    dtype('float32')
    """
    if datatype not in _NUMPY:
        raise BackstayError(f"there is no tensor type {datatype!r}", fix=nearest(datatype, _NUMPY))
    return np.dtype(_NUMPY[datatype])


def from_onnx(element: int, name: str) -> str:
    """The protocol type of an ONNX element type; `name` is the tensor's, for the error."""
    if element not in _ONNX:
        raise BackstayError(
            f"the tensor {name!r} has ONNX element type {element}, which the inference protocol cannot carry",
            fix="export the model with float, integer, boolean or string inputs and outputs",
        )
    return _ONNX[element]


def onnx_type(datatype: str) -> int:
    """The ONNX element type of a protocol type.

    >>> onnx_type("FP64")
    11
    """
    numpy_dtype(datatype)
    return next(element for element, name in _ONNX.items() if name == datatype)
