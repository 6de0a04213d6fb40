"""A graph behind the inputs of another: the same answers to the same rows."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from backstay.bundle.manifest import InputSpec
from backstay.bundle.signature import with_inputs

OWN = (
    InputSpec("a", "FP64", (-1, 1), "column", ("a",)),
    InputSpec("b", "FP64", (-1, 1), "column", ("b",)),
)
RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(50, 1)), RNG.normal(size=(50, 1))


def model() -> bytes:
    """score = 2 a - b."""
    nodes = [
        helper.make_node("Add", ["a", "a"], ["twice"]),
        helper.make_node("Sub", ["twice", "b"], ["score"]),
    ]
    inputs = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, ["rows", 1]) for n in ("a", "b")]
    outputs = [helper.make_tensor_value_info("score", TensorProto.DOUBLE, ["rows", 1])]
    graph = helper.make_graph(nodes, "double", inputs, outputs)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(made.SerializeToString())


def answers(content: bytes, **arrays: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, arrays)[0]


@pytest.mark.parametrize(
    ("wanted", "arrays"),
    [
        (
            (InputSpec("a", "FP32", (-1, 1), "column", ("a",)), InputSpec("b", "FP32", (-1,), "column", ("b",))),
            {"a": A.astype(np.float32), "b": B.astype(np.float32)[:, 0]},
        ),
        (
            (InputSpec("X", "FP32", (-1, 3), "matrix", ("b", "c", "a")),),
            {"X": np.column_stack([B, np.zeros(50), A]).astype(np.float32)},
        ),
        (
            (
                InputSpec("X", "FP64", (-1, 2), "matrix", ("a", "b")),
                InputSpec("more", "BYTES", (-1, 1), "column", ("c",)),
            ),
            {"X": np.column_stack([A, B]), "more": np.full((50, 1), "x", dtype=object)},
        ),
    ],
    ids=["narrower columns", "a matrix in another order", "a matrix and a column that is not read"],
)
def test_the_answers_are_the_same(wanted, arrays):
    changed = with_inputs(model(), OWN, wanted)
    assert changed is not None
    assert [i.name for i in onnx.load_model_from_string(changed).graph.input] == [s.name for s in wanted]
    np.testing.assert_allclose(answers(changed, **arrays), 2 * A - B, atol=1e-5)
    assert with_inputs(model(), OWN, wanted) == changed


def test_whole_numbers_are_cast():
    wanted = tuple(InputSpec(n, "INT64", (-1, 1), "column", (n,)) for n in ("a", "b"))
    changed = with_inputs(model(), OWN, wanted)
    assert changed is not None
    assert answers(changed, a=np.array([[3]]), b=np.array([[1]])).item() == 5.0


def test_flat_pixels_are_shaped():
    image = (2, 3, 1)
    node = helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT)
    graph = helper.make_graph(
        [node],
        "pixels",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["rows", *image])],
        [helper.make_tensor_value_info("floats", TensorProto.FLOAT, ["rows", *image])],
    )
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    own = (InputSpec("image", "UINT8", (-1, *image), "image", ("scan",), image),)
    flat = (InputSpec("X", "FP32", (-1, 6), "matrix", ("scan",), image),)
    changed = with_inputs(content, own, flat)
    assert changed is not None
    pixels = RNG.integers(0, 256, size=(4, 6))
    np.testing.assert_array_equal(answers(changed, X=pixels.astype(np.float32)), pixels.reshape(4, *image))
    first = (InputSpec("X", "FP32", (-1, 1, 2, 3), "image", ("scan",), image),)
    assert with_inputs(content, own, first) is None


@pytest.mark.parametrize(
    "wanted",
    [
        (InputSpec("a", "FP32", (-1, 1), "column", ("a",)),),
        (InputSpec("a", "FP32", (-1, 1), "column", ("a",)), InputSpec("b", "BYTES", (-1, 1), "column", ("b",))),
        (InputSpec("score", "FP32", (-1, 2), "matrix", ("a", "b")),),
    ],
    ids=["a column is missing", "text for numbers", "an input named like an output"],
)
def test_where_there_is_no_way_it_says_so(wanted):
    assert with_inputs(model(), OWN, wanted) is None
