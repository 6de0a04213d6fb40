"""A graph under construction: operators are added one by one and answer the name of what they make."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from backstay.bundle.datatypes import onnx_type
from backstay.bundle.manifest import InputSpec, OutputSpec

OPSET = 20
ML_OPSET = 5
ML = "ai.onnx.ml"
_IR = 10
_PREFIX = "made/"


class Graph:
    """Numbers are doubles throughout, as in scikit-learn, so that a value at a threshold falls on the same side.

    Every tensor has the rows first.
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._made = 0

    def input(self, spec: InputSpec) -> str:
        """Declare an input tensor."""
        shape: list[int | str] = ["rows", *spec.shape[1:]]
        self._inputs.append(helper.make_tensor_value_info(spec.name, onnx_type(spec.datatype), shape))
        return spec.name

    def constant(self, values: npt.NDArray[Any]) -> str:
        """A tensor of fixed values."""
        name = self._fresh("constant")
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator with one output and answer its name."""
        name = self._fresh(kind)
        self._nodes.append(helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name

    def double(self, value: str) -> str:
        """The same numbers as doubles."""
        return self.op("Cast", value, to=TensorProto.DOUBLE)

    def floats(self, value: str) -> str:
        """The same numbers, each rounded to the nearest float32 and held as a double."""
        return self.double(self.op("Cast", value, to=TensorProto.FLOAT))

    def side_by_side(self, parts: list[str]) -> str:
        """Matrices [rows, .] joined by their columns."""
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=1)

    def columns(self, value: str, places: list[int]) -> str:
        """Some columns of a matrix, in this order."""
        return self.op("Gather", value, self.constant(np.array(places, np.int64)), axis=1)

    def model(self, outputs: dict[str, tuple[str, OutputSpec]]) -> bytes:
        """The finished graph. `outputs`: the name that each is to have, what it is now called, and its type.

        Raises:
            onnx.checker.ValidationError: the graph is not sound (a fault of ours, never of the data).
        """
        values = []
        for name, (made, spec) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [made], [name]))
            values.append(helper.make_tensor_value_info(name, onnx_type(spec.datatype), ["rows", *spec.shape[1:]]))
        whole = helper.make_model(
            helper.make_graph(self._nodes, "model", self._inputs, values, self._constants),
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)],
            ir_version=_IR,
            producer_name="backstay",
        )
        onnx.checker.check_model(whole, full_check=True)
        return bytes(whole.SerializeToString(deterministic=True))

    def _fresh(self, kind: str) -> str:
        """A name of its own; of a column that should be called alike, the checker would refuse the graph."""
        self._made += 1
        return f"{_PREFIX}{kind}_{self._made}"
