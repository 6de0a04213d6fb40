"""Heads by examples as graphs: out and in again without a change, and a class more without touching the encoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from backstay.bundle.heads import DISTANCE, DISTANCES, ExampleHead, attach, detach, has_head, with_class
from backstay.bundle.inspect import inspect_onnx
from backstay.bundle.manifest import NONE, InputSpec, Manifest, OutputSpec, format_for
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind

ANGLES = np.deg2rad([0, 10, 90, 100])
LIMIT = 1 - np.cos(np.deg2rad(25))


def on_circle(*degrees: float) -> np.ndarray:
    at = np.deg2rad(degrees)
    return np.column_stack([np.cos(at), np.sin(at)]).astype(np.float32)


def made(kind: str, **changes: object) -> ExampleHead:
    head = ExampleHead(
        kind=kind,
        points=on_circle(0, 10, 90, 100) if kind == "knn" else on_circle(5, 95),
        owners=np.array([0, 0, 1, 1]) if kind == "knn" else np.array([0, 1]),
        log_weights=np.zeros(4 if kind == "knn" else 2, dtype=np.float32),
        classes=("east", "north"),
        sharpness=10.0,
        neighbours=3 if kind == "knn" else 0,
        even=0.1,
        limits=np.full(4 if kind == "knn" else 2, LIMIT, dtype=np.float32),
        none_label=NONE,
    )
    return replace(head, **changes)


def graph(head: ExampleHead) -> bytes:
    """An encoder that only passes on, with this head behind it."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 2])
    body = helper.make_graph([helper.make_node("Identity", ["x"], ["embedding"])], "g", [value], [out])
    versions = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 4)]
    model = helper.make_model(body, opset_imports=versions, ir_version=10)
    attach(model, head, "embedding")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def ask(content: bytes, *degrees: float) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(None, {"x": on_circle(*degrees)}), strict=True))


def manifest(head: ExampleHead) -> Manifest:
    inputs = (InputSpec("x", "FP32", (-1, 2), "vector", ("x",)),)
    outputs = (
        OutputSpec("label", "BYTES", (-1,), "label"),
        OutputSpec("scores", "FP32", (-1, len(head.classes)), "scores"),
        OutputSpec("embedding", "FP32", (-1, 2), "embedding"),
        DISTANCES,
    )
    return Manifest(
        format_for(inputs, outputs), "classification", inputs, outputs, head.classes, "space-1", none_label=NONE
    )


@pytest.mark.parametrize("kind", ["knn", "prototype"])
@pytest.mark.parametrize("limited", [True, False])
def test_what_is_attached_is_detached_and_the_same_bytes_again(kind, limited):
    head = made(kind) if limited else made(kind, limits=None, none_label="")
    content = graph(head)
    assert has_head(content)
    model = onnx.load_model_from_string(content)
    found, embedding = detach(model)
    assert embedding == "embedding"
    assert [o.name for o in model.graph.output] == ["embedding"]
    for name in ("kind", "classes", "neighbours", "none_label"):
        assert getattr(found, name) == getattr(head, name)
    for name in ("points", "owners", "log_weights", "limits"):
        np.testing.assert_array_equal(getattr(found, name), getattr(head, name))
    attach(model, found, embedding)
    assert model.SerializeToString(deterministic=True) == content
    assert detach(onnx.ModelProto()) is None


@pytest.mark.parametrize("kind", ["knn", "prototype"])
def test_rows_beyond_every_limit_are_none_and_their_scores_stand(kind):
    said = ask(graph(made(kind)), 5, 95, 50, 200)
    assert said["label"].tolist() == ["east", "north", NONE, NONE]
    np.testing.assert_allclose(said["scores"].sum(axis=1), 1, atol=1e-6)
    nearest = [0, 0, 45, 105] if kind == "prototype" else [5, 5, 40, 100]
    np.testing.assert_allclose(said[DISTANCE], 1 - np.cos(np.deg2rad(nearest)), atol=1e-6)
    without = ask(graph(made(kind, limits=None, none_label="")), 50, 200)
    assert set(without["label"]) <= {"east", "north"}


def test_only_points_that_hold_a_row_vote():
    # At 40 degrees three of the points are as near as may be, but only the one with a long reach holds the row.
    head = made("knn", limits=np.array([LIMIT, LIMIT, 0.9, LIMIT], dtype=np.float32))
    said = ask(graph(head), 40)
    assert said["label"].tolist() == ["north"]
    np.testing.assert_allclose(said["scores"], [[0.05, 0.95]], atol=1e-6)


@pytest.mark.parametrize("kind", ["knn", "prototype"])
def test_a_class_more_leaves_what_the_old_ones_hold(kind):
    head = made(kind)
    content = graph(head)
    wider, draft = with_class(content, manifest(head), "south", on_circle(-80, -90, -100, -95, -85))
    assert draft.classes == ("east", "north", "south")
    assert draft.output("scores").shape == (-1, 3)
    assert (draft.space_id, draft.recipe["added_classes"]) == ("space-1", ["south"])
    # South is far from both, so that no point of it holds what they hold.
    degrees = np.arange(-60, 180, 1.0)
    before, after = ask(content, *degrees), ask(wider, *degrees)
    held = before["label"] != NONE
    assert held.any()
    assert not held.all()
    np.testing.assert_array_equal(after["label"][held], before["label"][held])
    assert ask(wider, -90, -84)["label"].tolist() == ["south", "south"]
    assert ask(content, -90)["label"].tolist() == [NONE]
    again, _ = with_class(wider, draft, "west", on_circle(170, 180, 190))
    assert ask(again, 5, 95, -90, 180)["label"].tolist() == ["east", "north", "south", "west"]


def test_what_cannot_have_a_class_more_is_refused():
    head = made("knn")
    for name in ("east", NONE):
        with pytest.raises(BackstayError, match="already"):
            with_class(graph(head), manifest(head), name, on_circle(1, 2))
    plain = onnx.load_model_from_string(graph(head))
    detach(plain)
    with pytest.raises(BackstayError, match="no head that answers by examples"):
        with_class(plain.SerializeToString(), manifest(head), "west", on_circle(1, 2))
    with pytest.raises(BackstayError, match="none_label"):
        made("knn", none_label="east")


def test_such_a_graph_is_known_again_when_somebody_brings_it(tmp_path):
    content, draft = with_class(
        graph(made("knn")), manifest(made("knn")), "a class that sorts first", on_circle(-90, -80)
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    found = inspect_onnx(path, (Column("x", ColumnKind.VECTOR, shape=(2,)),), tuple(sorted(draft.classes)))
    assert (found.classes, found.none_label) == (draft.classes, NONE)
    assert {o.name: o.role for o in found.outputs}[DISTANCE] == "distance"
    assert found.format_version == 3
