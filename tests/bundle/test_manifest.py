"""Manifests are read strictly; their ids hash everything; nothing is left half-written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.bundle.inputs import arrays_for, table_from
from backstay.bundle.manifest import FORMAT_VERSION, InputSpec, Manifest, OutputSpec
from backstay.bundle.write import write_bundle
from backstay.kernel.codec import encode
from backstay.kernel.errors import BackstayError, NotFound

DRAFT = Manifest(
    format_version=1,
    task="classification",
    inputs=(
        InputSpec("a", "FP64", (-1, 1), "column", ("a",)),
        InputSpec("b", "BYTES", (-1, 1), "column", ("b",)),
        InputSpec("c", "INT64", (-1,), "column", ("c",)),
        InputSpec("d", "BOOL", (-1, 1), "column", ("d",)),
    ),
    outputs=(OutputSpec("label", "BYTES", (-1,), "label"),),
    classes=("x", "y"),
)


def test_round_trip_and_id(tmp_path: Path) -> None:
    model_id = write_bundle(tmp_path, b"graph", DRAFT, files={"tokenizer.json": b"{}"})
    read = Manifest.read(tmp_path / model_id / "manifest.json")
    assert read.id == model_id
    assert read.inputs == DRAFT.inputs
    assert set(read.files) == {"model.onnx", "tokenizer.json"}
    assert write_bundle(tmp_path, b"graph", DRAFT) != model_id
    assert (
        write_bundle(tmp_path, b"graph", replace(DRAFT, data_id="data-1"), files={"tokenizer.json": b"{}"}) != model_id
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format_version": FORMAT_VERSION + 1}, "newer Backstay"),
        ({"format_version": None}, "no format_version"),
        ({"inputs": []}, "no inputs"),
        ({"surprise": 1}, "surprise"),
        ({"classes": [1]}, "not text"),
        ({"files": {"../x": {"sha256": "a", "size": 1}}}, "outside the bundle"),
        ({"files": {"x": {"sha256": 1, "size": 1}}}, "no hash"),
        ({"outputs": [{"name": "o", "datatype": "FP99", "shape": [-1], "role": "label"}]}, "FP99"),
        ({"outputs": [{"name": "o", "datatype": "FP32", "shape": [-1], "role": "boss"}]}, "boss"),
        ({"outputs": [{"name": "o", "datatype": "FP32", "shape": ["n"], "role": "label"}]}, "whole numbers"),
        ({"outputs": [{"name": "o"}]}, "not a sound manifest"),
    ],
)
def test_bad_manifests_are_refused(tmp_path: Path, change: dict, says: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**encode(DRAFT), **change}))
    with pytest.raises(BackstayError, match=says):
        Manifest.read(path)


def test_no_manifest_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Manifest.read(tmp_path / "manifest.json")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(BackstayError, match="not a sound manifest"):
        Manifest.read(tmp_path / "manifest.json")


def test_a_folder_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BackstayError, match="could not be written"):
        write_bundle(tmp_path / "file", b"graph", DRAFT)


words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=5)


@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(allow_nan=False), st.none() | words, st.integers(-(2**53), 2**53), st.booleans()
        ),
        min_size=1,
        max_size=8,
    )
)
def test_tables_survive_tensors(rows: list) -> None:
    a, b, c, d = map(list, zip(*rows, strict=True))
    table = pa.table({"a": pa.array(a, pa.float64()), "b": pa.array(b, pa.string()), "c": c, "d": d})
    arrays = arrays_for(DRAFT, table)
    assert arrays["b"].dtype == object
    assert all(isinstance(v, str) for v in arrays["b"].ravel())
    assert table_from(DRAFT, arrays).to_pylist() == table.to_pylist()


def test_gaps_that_a_whole_number_input_cannot_take() -> None:
    table = pa.table({"a": [1.0], "b": ["x"], "c": pa.array([None], pa.int64()), "d": [True]})
    with pytest.raises(BackstayError, match="1 values of 'c' are missing"):
        arrays_for(DRAFT, table)
    halves = pa.table({"a": [1.0], "b": ["x"], "c": [0.5], "d": [True]})
    with pytest.raises(BackstayError, match=r"holds 0\.5"):
        arrays_for(DRAFT, halves)


def test_bytes_become_text_strictly() -> None:
    base = {"a": [1.0], "c": [1], "d": [True]}
    good = arrays_for(DRAFT, pa.table({**base, "b": pa.array(["é".encode()])}))
    np.testing.assert_array_equal(good["b"], np.array([["é"]], dtype=object))
    with pytest.raises(BackstayError, match="UTF-8"):
        arrays_for(DRAFT, pa.table({**base, "b": pa.array([b"\xff"])}))


def test_an_older_bundle_keeps_its_id() -> None:
    assert "none_label" not in DRAFT.document()
    assert replace(DRAFT, none_label="none of these").document()["none_label"] == "none of these"
    assert replace(DRAFT, none_label="none of these").id != DRAFT.id
