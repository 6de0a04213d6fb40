"""Requests against manifests of every kind, without a server."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.bundle.manifest import FORMAT_VERSION, InputSpec, Manifest, OutputSpec
from backstay.serve.live import blank
from backstay.serve.problems import Problem
from backstay.serve.protocol import parse


def manifest(*specs: InputSpec) -> Manifest:
    outputs = (OutputSpec("label", "BYTES", (-1,), "label"),)
    return Manifest(FORMAT_VERSION, "classification", specs, outputs, ("no", "yes"))


CITY = InputSpec("city", "BYTES", (-1, 1), "column", ("city",))
COUNT = InputSpec("count", "UINT8", (-1, 1), "column", ("count",))
FLAG = InputSpec("flag", "BOOL", (-1,), "column", ("flag",))
MATRIX = InputSpec("x", "FP32", (-1, 2), "matrix", ("a", "b"))
IMAGE = InputSpec("image", "FP32", (-1, -1, -1, 1), "image", ("image",), (2, 3, 1))


def request(spec: InputSpec, data, shape=None, *, tail: bytes | None = None):
    tensor = {"name": spec.name, "datatype": spec.datatype, "shape": shape or [len(data), 1]}
    if tail is None:
        tensor["data"] = data
        return parse(json.dumps({"inputs": [tensor]}).encode(), None, manifest(spec), max_rows=100)
    tensor["parameters"] = {"binary_data_size": len(tail)}
    head = json.dumps({"inputs": [tensor]}).encode()
    return parse(head + tail, len(head), manifest(spec), max_rows=100)


def texts(*values: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(v)) + v for v in values)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5))
def test_texts_are_str_by_json_and_by_bytes(values):
    for question in (
        request(CITY, values),
        request(CITY, None, [len(values), 1], tail=texts(*(v.encode() for v in values))),
    ):
        assert question.arrays["city"].reshape(-1).tolist() == values
        assert all(type(v) is str for v in question.arrays["city"].reshape(-1))


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_sentences_are_a_column_or_a_list(shape):
    said = InputSpec("said", "BYTES", (-1, 1), "tokens", ("said",))
    assert request(said, ["Where is it? 😀", None], shape).arrays["said"].tolist() == [["Where is it? 😀"], [""]]
    with pytest.raises(Problem, match="shape"):
        request(said, ["a", "b"], [1, 2])
    tensor = {"name": "said", "datatype": "INT64", "shape": [1, 2], "data": [3, 4]}
    with pytest.raises(Problem, match="INT64"):
        parse(json.dumps({"inputs": [tensor]}).encode(), None, manifest(said), max_rows=9)


def test_a_vector_is_whole_and_finite():
    bought = InputSpec("v", "FP32", (-1, 3), "vector", ("v",))
    assert request(bought, [1, 2.5, 3], [1, 3]).arrays["v"].tolist() == [[1.0, 2.5, 3.0]]
    for data, shape in (([1, 2], [1, 2]), ([1, None, 3], [1, 3])):
        with pytest.raises(Problem):
            request(bought, data, shape)
    assert blank(manifest(bought))["v"].shape == (1, 3)


def test_a_null_text_is_the_missing_one():
    assert request(CITY, ["Rome", None]).arrays["city"].tolist() == [["Rome"], [""]]


@pytest.mark.parametrize(
    "tail", [texts(b"\xff"), texts(b"Rome")[:-1], b"\x00\x00", texts(b"a", b"b"), b"", struct.pack("<I", 2**32 - 1)]
)
def test_broken_binary_texts(tail):
    with pytest.raises(Problem) as caught:
        request(CITY, None, [1, 1], tail=tail)
    assert caught.value.status == 400


@pytest.mark.parametrize("value", [256, -1, 1.5, "1", None, True, 10**30])
def test_whole_numbers_stay_within_their_type(value):
    with pytest.raises(Problem, match="count"):
        request(COUNT, [value])


def test_whole_numbers_and_truth_values():
    assert request(COUNT, [0, 255]).arrays["count"].dtype == np.uint8
    assert request(FLAG, [True, False], [2]).arrays["flag"].tolist() == [True, False]
    with pytest.raises(Problem):
        request(FLAG, [1, 0], [2])


@pytest.mark.parametrize("spec", [MATRIX, IMAGE], ids=["matrix", "image"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_gaps_are_refused_where_no_column_can_have_them(spec, value):
    shape = [1, 2] if spec is MATRIX else [1, 2, 3, 1]
    values = np.zeros(shape, "<f4")
    values.reshape(-1)[0] = value
    with pytest.raises(Problem, match="NaN"):
        request(spec, None, shape, tail=values.tobytes())
    with pytest.raises(Problem, match="NaN"):
        request(spec, [None, *[0.0] * (values.size - 1)], shape)


def test_blank_rows_fit_the_manifest():
    arrays = blank(manifest(CITY, COUNT, FLAG, MATRIX, IMAGE))
    shapes = {name: values.shape for name, values in arrays.items()}
    assert shapes == {"city": (1, 1), "count": (1, 1), "flag": (1,), "x": (1, 2), "image": (1, 2, 3, 1)}


@given(st.binary(max_size=200))
def test_no_bytes_break_it(content):
    with pytest.raises(Problem):
        parse(content, None, manifest(MATRIX), max_rows=10)
