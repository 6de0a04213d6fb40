"""A graph under construction: operators are added one by one and answer the name of what they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from backstay.bundle.datatypes import onnx_type
from backstay.bundle.manifest import InputSpec, OutputSpec
from backstay.bundle.model import ROWS_AT_ONCE

if TYPE_CHECKING:
    from backstay.train.convert.lexicon import Lexicon

OPSET = 20
ML_OPSET = 5
ML = "ai.onnx.ml"
_IR = 10
_PREFIX = "made/"


class Graph:
    """Numbers are doubles throughout, as in scikit-learn, so that a value at a threshold falls on the same side.

    Every tensor has the rows first. `rows_at_once`: where a row takes much memory on its way, how many rows are to be
    asked together; 0 leaves it to whoever asks. `lexicons`: what cuts texts into codes, where something reads them.
    `borrowed`: the parts that skl2onnx has converted; `single`: whether they are to be in single precision, which some
    of their operators know alone.
    """

    def __init__(self, *, single: bool = False) -> None:
        self.single = single
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._domains: dict[str, int] = {}
        self._made = 0
        self.rows_at_once = 0
        self.borrowed: list[str] = []
        self.lexicons: list[Lexicon] = []

    def input(self, spec: InputSpec) -> str:
        """Declare an input tensor."""
        shape: list[int | str] = ["rows", *spec.shape[1:]]
        kind = onnx_type(spec.datatype)
        if spec.adapter == "tokens":
            # The bundle's tokenizer makes codes of the texts before the graph sees them.
            shape, kind = ["rows", "length"], TensorProto.INT64
        self._inputs.append(helper.make_tensor_value_info(spec.name, kind, shape))
        return spec.name

    def constant(self, values: npt.NDArray[Any]) -> str:
        """A tensor of fixed values."""
        name = self._fresh("constant")
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def number(self, value: float) -> str:
        """A fixed double."""
        return self.constant(np.array(value, np.float64))

    def row(self, values: Any) -> str:
        """Fixed doubles as a matrix of one row [1, n]."""
        return self.constant(np.asarray(values, dtype=np.float64).reshape(1, -1))

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator with one output and answer its name."""
        name = self._fresh(kind)
        self._nodes.append(helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name

    def two(self, kind: str, *inputs: str, **attributes: Any) -> tuple[str, str]:
        """Add an operator with two outputs and answer their names."""
        names = self._fresh(kind), self._fresh(kind)
        self._nodes.append(helper.make_node(kind, list(inputs), list(names), **attributes))
        return names

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

    def total(self, value: str, *, axis: int = 1, keep: bool = True) -> str:
        """Sums along an axis."""
        return self.op("ReduceSum", value, self.constant(np.array([axis], np.int64)), keepdims=int(keep))

    def read_by(self, name: str) -> set[str]:
        """The kinds of the operators that read a tensor."""
        return {node.op_type for node in self._nodes if name in node.input}

    def inline(self, part: onnx.ModelProto, given: str) -> list[str]:
        """Add another graph of one input, which reads this tensor, and answer the names of its outputs."""
        own = compose.add_prefix(part, self._fresh("part") + "/")
        self._nodes.append(helper.make_node("Identity", [given], [own.graph.input[0].name]))
        self._nodes += own.graph.node
        self._constants += own.graph.initializer
        for opset in own.opset_import:
            self._domains[opset.domain] = opset.version
        return [value.name for value in own.graph.output]

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
            opset_imports=[
                helper.make_opsetid(domain, at) for domain, at in {**self._domains, "": OPSET, ML: ML_OPSET}.items()
            ],
            ir_version=_IR,
            producer_name="backstay",
        )
        if self.rows_at_once:
            helper.set_model_props(whole, {ROWS_AT_ONCE: str(self.rows_at_once)})
        onnx.checker.check_model(whole, full_check=True)
        return bytes(whole.SerializeToString(deterministic=True))

    def _fresh(self, kind: str) -> str:
        """A name of its own; of a column that should be called alike, the checker would refuse the graph."""
        self._made += 1
        return f"{_PREFIX}{kind}_{self._made}"
