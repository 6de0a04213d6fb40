"""A model that answers sets of labels, behind the server."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from backstay.bundle.manifest import FORMAT_VERSION, InputSpec, Manifest, OutputSpec
from backstay.bundle.write import write_bundle
from backstay.journal.reader import Journal
from backstay.serve.feedback import feedback_entries
from backstay.serve.problems import Problem

LABELS = ("fire", "theft")


def graph() -> bytes:
    """Of an age the chances of fire (falling) and theft (rising), each said from a half on."""
    nodes = [
        helper.make_node("MatMul", ["age", "w"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
        helper.make_node("GreaterOrEqual", ["scores", "cuts"], ["members"]),
    ]
    constants = {"w": np.array([[-1.0, 1.0]], np.float32), "cuts": np.array([0.4, 0.6], np.float32)}
    made = helper.make_graph(
        nodes,
        "sets",
        [helper.make_tensor_value_info("age", TensorProto.FLOAT, ["rows", 1])],
        [
            helper.make_tensor_value_info("members", TensorProto.BOOL, ["rows", 2]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 2]),
        ],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


MANIFEST = Manifest(
    format_version=FORMAT_VERSION,
    task="multilabel",
    inputs=(InputSpec("age", "FP32", (-1, 1), "column", ("age",)),),
    outputs=(OutputSpec("members", "BOOL", (-1, 2), "members"), OutputSpec("scores", "FP32", (-1, 2), "scores")),
    classes=LABELS,
)


@pytest.fixture
def served(place: Any) -> Any:
    place.point(write_bundle(place.folder / "bundles", graph(), MANIFEST))
    return place


def test_a_set_is_answered_by_name_and_logged_as_text(served: Any, ask: Any) -> None:
    server = served.start()
    status, answer = server.infer(ask(-2.0, 0.0, 2.0, prediction_ids=["a", "b", "c"]))
    assert status == 200
    said = answer["parameters"]["answers"]
    assert [row["labels"] for row in said] == [["fire"], ["fire"], ["theft"]]
    assert said[1]["scores"] == {"fire": 0.5, "theft": 0.5}
    tensors = {t["name"]: t for t in answer["outputs"]}
    assert tensors["members"]["datatype"] == "BOOL"
    assert tensors["members"]["data"] == [True, False, True, False, False, True]
    assert tensors["scores"]["shape"] == [3, 2]
    status, _ = server.call("POST", "/v2/models/risk/feedback", [{"id": "a", "value": ["theft", "fire"]}])
    assert status == 200
    journal = Journal(served.folder / "journal")
    assert [entry.value for entry in journal.feedback()[0]] == ['["fire", "theft"]']
    rows = journal.rows("risk", "production")
    logged = dict(zip(rows.ids.tolist(), rows.predictions.tolist(), strict=True))
    assert logged == {"a": '["fire"]', "b": '["fire"]', "c": '["theft"]'}


MALFORMED: dict[str, Any] = {
    "cut off": '["theft"',
    "a list within": '[["theft"]]',
    "an empty label": ["theft", ""],
    "a number with a point": 1.5,
    "yes or no": True,
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
def test_a_label_that_is_no_set_is_refused_with_the_reason_and_nothing_is_stored(value: Any) -> None:
    body = json.dumps([{"id": "b", "value": ["fire"]}, {"id": "a", "value": value}]).encode()
    with pytest.raises(Problem) as refused:
        feedback_entries(body, "risk", "production", source="app", at=0, task="multilabel")
    assert refused.value.status == 400
    assert "the label of 'a' is no set of labels" in refused.value.text


def test_the_server_refuses_by_the_task_of_the_live_model(served: Any, ask: Any) -> None:
    server = served.start()
    server.infer(ask(-2.0, prediction_ids=["a"]))
    where = "/v2/models/risk/feedback"
    status, said = server.call("POST", where, {"id": "a", "value": '["theft"'})
    assert (status, "begins like a JSON list" in said["error"]) == (400, True)
    assert Journal(served.folder / "journal").feedback()[0] == []
    assert server.call("POST", where, {"id": "a", "value": "theft; fire"})[0] == 200
    assert [entry.value for entry in Journal(served.folder / "journal").feedback()[0]] == ['["fire", "theft"]']


@pytest.mark.parametrize(
    ("task", "value", "said"),
    [
        ("regression", "dear", "'dear', which is no number"),
        ("regression", "nan", "'nan', which is no number"),
        ("classification", ["yes"], "is a list"),
        ("regression", [1], "is not feedback"),
    ],
)
def test_what_is_no_label_of_another_task_is_refused_too(task: str, value: Any, said: str) -> None:
    body = json.dumps({"id": "a", "value": value}).encode()
    with pytest.raises(Problem, match=said):
        feedback_entries(body, "risk", "production", source="app", at=0, task=task)
    (kept,) = feedback_entries(b'{"id": "a", "value": 2}', "risk", "production", source="app", at=0, task=task)
    assert kept.value == "2"
    (kind,) = feedback_entries(b'{"id": "a", "value": "x", "kind": "click"}', "r", "p", source="app", at=0, task=task)
    assert kind.value == "x"


def test_who_asks_for_one_tensor_gets_no_names(served: Any, ask: Any) -> None:
    server = served.start()
    _, answer = server.infer({**ask(1.0), "outputs": [{"name": "members"}]})
    assert "answers" not in answer["parameters"]
    assert [t["name"] for t in answer["outputs"]] == ["members"]
    _, metadata = server.call("GET", "/v2/models/risk")
    assert {o["name"]: o["datatype"] for o in metadata["outputs"]} == {"members": "BOOL", "scores": "FP32"}
