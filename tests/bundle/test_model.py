"""A bundle is loaded only where it is what its id says, and its single probability is that of the second class."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import pyarrow as pa
import pytest
from onnx import TensorProto, helper

from backstay.bundle.manifest import FORMAT_VERSION, InputSpec, Manifest, OutputSpec
from backstay.bundle.model import load
from backstay.bundle.write import MANIFEST_FILE, MODEL_FILE, write_bundle
from backstay.kernel.errors import Tampered

MANIFEST = Manifest(
    format_version=FORMAT_VERSION,
    task="classification",
    inputs=(InputSpec("age", "FP32", (-1, 1), "column", ("age",)),),
    outputs=(OutputSpec("chance", "FP32", (-1, 1), "scores"),),
    classes=("no", "yes"),
)


@pytest.fixture(scope="module")
def graph() -> bytes:
    """One column "age" to one probability, the larger the older."""
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Sigmoid", ["age"], ["chance"])],
            "tiny",
            [helper.make_tensor_value_info("age", TensorProto.FLOAT, ["rows", 1])],
            [helper.make_tensor_value_info("chance", TensorProto.FLOAT, ["rows", 1])],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture
def bundle(tmp_path, graph):
    return tmp_path / write_bundle(tmp_path, graph, MANIFEST)


def test_a_single_probability_is_that_of_the_second_class(bundle):
    found = load(bundle).predict(pa.table({"age": pa.array([2.0, -2.0], pa.float32())}))
    assert found.labels.tolist() == ["yes", "no"]
    assert found.scores.tolist() == pytest.approx(np.array([[0.1192, 0.8808], [0.8808, 0.1192]]), abs=1e-4)


def test_a_bundle_in_the_place_of_another_is_not_loaded(tmp_path, graph, bundle):
    other = write_bundle(tmp_path, graph, replace(MANIFEST, classes=("yes", "no")))
    assert load(bundle, expected_id=bundle.name).id == bundle.name
    with pytest.raises(Tampered, match=f"recorded is {other}"):
        load(bundle, expected_id=other)
    (tmp_path / other / MANIFEST_FILE).write_bytes((bundle / MANIFEST_FILE).read_bytes())
    with pytest.raises(Tampered, match="hashes to"):
        load(tmp_path / other)


def test_a_file_that_was_changed_is_not_loaded(bundle):
    content = bytearray((bundle / MODEL_FILE).read_bytes())
    content[-1] ^= 1
    (bundle / MODEL_FILE).write_bytes(content)
    with pytest.raises(Tampered, match=r"model\.onnx hashes to"):
        load(bundle)


def test_a_manifest_that_names_another_hash_is_another_model(bundle):
    document = json.loads((bundle / MANIFEST_FILE).read_bytes())
    document["classes"] = ["yes", "no"]
    (bundle / MANIFEST_FILE).write_text(json.dumps(document))
    with pytest.raises(Tampered, match="the manifest in"):
        load(bundle)
