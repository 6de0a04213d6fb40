"""What the server answers, and what it says to bad requests: always {"error": a sentence with a fix}."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backstay.journal.reader import Journal
from backstay.journal.writer import JournalWriter
from backstay.kernel.clock import SystemClock
from backstay.serve.app import App
from backstay.serve.problems import Problem
from backstay.settings import Settings

INFER = "/v2/models/risk/infer"


def tensor(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "age", "datatype": "FP32", "shape": [1, 1], "data": [1.0], **changes}]}


BAD: dict[str, tuple[Any, int, str]] = {
    "malformed JSON": (b'{"inputs": [', 400, "not JSON"),
    "not an object": (b"[1]", 400, "inference request"),
    "a bare NaN": (b'{"inputs":[{"name":"age","datatype":"FP32","shape":[1,1],"data":[NaN]}]}', 400, "null"),
    "nested thousands deep": (b'{"parameters":{"x":' + b"[" * 3900, 400, "JSON"),
    "no inputs": ({}, 400, "inputs"),
    "empty inputs": ({"inputs": []}, 400, "age"),
    "wrong input name": (tensor(name="agee"), 400, "age"),
    "an input twice": ({"inputs": tensor()["inputs"] * 2}, 400, "twice"),
    "wrong type": (tensor(datatype="INT64"), 400, "FP32"),
    "texts for numbers": (tensor(data=["1"]), 400, "FP32"),
    "wrong rank": (tensor(shape=[1]), 400, "shape"),
    "wrong width": (tensor(shape=[1, 2], data=[1.0, 2.0]), 400, "shape"),
    "negative size": (tensor(shape=[-1, 1]), 400, "rows"),
    "no rows": (tensor(shape=[0, 1], data=[]), 400, "at least 1"),
    "fewer values than the shape says": (tensor(shape=[2, 1]), 400, "shape"),
    "infinity by overflow": (tensor(data=[1e300]), 400, "infinity"),
    "no data": ({"inputs": [{"name": "age", "datatype": "FP32", "shape": [1, 1]}]}, 400, "data"),
    "too many rows": (tensor(shape=[9, 1], data=[1.0] * 9), 413, "at most 8"),
    "body too large": (b" " * 5000, 413, "4096"),
    "unknown output": ({**tensor(), "outputs": [{"name": "nothing"}]}, 400, "nothing"),
    "ids that are not one a row": ({**tensor(), "parameters": {"prediction_ids": ["a", "b"]}}, 400, "prediction_ids"),
    "an empty id": ({**tensor(), "parameters": {"prediction_ids": [""]}}, 400, "prediction_ids"),
    "an id twice": (
        {**tensor(shape=[2, 1], data=[1.0, 2.0]), "parameters": {"prediction_ids": ["a", "a"]}},
        400,
        "not all different",
    ),
    "groups that are not one a row": ({**tensor(), "parameters": {"groups": []}}, 400, "groups"),
    "context of another length": ({**tensor(), "parameters": {"context": {"office": ["a", "b"]}}}, 400, "office"),
    "bytes that are not there": (tensor(parameters={"binary_data_size": 4}), 400, "binary_data_size"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_get_a_status_and_a_sentence(server, name):
    body, status, word = BAD[name]
    found, answer = server.infer(body)
    assert found == status, answer
    assert list(answer) == ["error"]
    assert word in answer["error"]


def test_a_body_that_comes_in_pieces_is_too_large_as_a_whole(server):
    def pieces():
        for _ in range(4):
            yield b" " * 1500
            time.sleep(0.05)

    connection = server.connect()
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    connection.request("POST", INFER, pieces(), headers, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v2/models/riskk/infer", 404),
        ("POST", "/v2/models/risk/versions/99/infer", 404),
        ("GET", "/v2/models/risk/versions/99", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/v2/models/..%2f..%2fetc%2fpasswd", 404),
        ("GET", INFER, 405),
        ("DELETE", "/v2/models/risk", 405),
    ],
)
def test_what_is_not_there(server, method, path, status):
    found, answer = server.call(method, path, {} if method == "POST" else None)
    assert (found, list(answer)) == (status, ["error"])


def test_content_types(server, ask):
    for kind in ("text/csv", "application/x-pickle", "multipart/form-data; boundary=x"):
        status, answer = server.infer(ask(1.0), headers={"Content-Type": kind})
        assert status == 415
        assert "application/json" in answer["error"]
    assert server.infer(ask(1.0), headers={"Content-Type": "application/json; charset=utf-8"})[0] == 200


def test_keys(server, shared, ask):
    only_feedback, only_predict, only_read = json.loads((shared.folder / "tokens.json").read_text())
    assert server.infer(ask(1.0), token="")[0] == 401
    assert server.infer(ask(1.0), token="bsk_000000000000.wrong")[0] == 401
    assert server.infer(ask(1.0), token=only_feedback)[0] == 403
    assert server.infer(ask(1.0), token=only_predict)[0] == 200
    assert server.infer(ask(1.0), token=only_read)[0] == 403
    assert server.call("GET", "/metrics", token=only_read)[0] == 200
    assert server.call("GET", "/metrics", token=only_predict)[0] == 403
    assert server.call("GET", "/metrics", token="")[0] == 401
    feedback = {"id": "x", "value": "yes"}
    assert server.call("POST", "/v2/models/risk/feedback", feedback, token=only_predict)[0] == 403
    assert server.call("GET", "/v2/models/other", token="")[0] == 401
    assert server.call("GET", "/v2/health/live", token="")[0] == 200
    assert server.call("GET", "/v2/health/ready", token="")[0] == 200


def test_answers_carry_ids_and_release(server, shared, ask):
    status, answer = server.infer({**ask(2.0, -2.0, groups=["g", None], context={"office": ["x", None]}), "id": "mine"})
    assert status == 200
    outputs = {o["name"]: o for o in answer["outputs"]}
    assert answer["id"] == "mine"
    assert (answer["model_name"], answer["model_version"]) == ("risk", "1")
    assert answer["parameters"] == {"prediction_ids": ["mine/0", "mine/1"], "release": "release-1", "logged": True}
    scores = np.array(outputs["scores"]["data"]).reshape(2, 2)
    expected = 1 / (1 + np.exp(-4.0))
    np.testing.assert_allclose(scores, [[1 - expected, expected], [expected, 1 - expected]], atol=1e-6)
    assert outputs["embedding"]["shape"] == [2, 3]

    manifest = {"release-1": _manifest(shared)}
    rows = Journal(shared.folder / "journal").rows("risk", "production", manifests=manifest)
    mine = rows.take(np.array([str(i).startswith("mine/") for i in rows.ids]))
    assert mine.predictions.tolist() == ["yes", "no"]
    assert mine.groups is not None
    assert mine.groups.tolist() == ["g", None]
    np.testing.assert_allclose(mine.scores, scores, atol=1e-6)
    assert mine.inputs is not None
    assert mine.inputs.column("age").to_pylist() == [2.0, -2.0]
    assert mine.latencies is not None
    assert np.all((mine.latencies > 0.0) & (mine.latencies < 60_000.0))
    assert mine.latencies[0] == mine.latencies[1]


@pytest.mark.parametrize(("status", "left"), [(400, []), (401, []), (500, ["500"]), (503, ["503"]), (None, ["500"])])
def test_a_request_that_we_failed_to_answer_leaves_a_line_with_its_status(tmp_path, status, left):
    async def failing():
        raise RuntimeError("out of luck") if status is None else Problem(status, "no")

    with closing(JournalWriter(tmp_path)) as journal:
        parts = SimpleNamespace(_settings=Settings(name="risk"), _clock=SystemClock(), _journal=journal)
        with pytest.raises((Problem, RuntimeError)):
            asyncio.run(App._count_failures(parts, failing()))
    found, _ = Journal(tmp_path).feedback()
    assert [f.value for f in found] == left
    assert {(f.kind, f.source, f.model) for f in found} <= {("failure", "server", "risk")}


def test_nobody_posts_failures(server):
    item = {"id": "x", "value": "500", "kind": "failure"}
    assert server.call("POST", "/v2/models/risk/feedback", item)[0] == 400


def test_a_gap_is_allowed_where_a_column_may_have_one(server, ask):
    status, answer = server.infer(ask(None, 2.0))
    assert status == 200
    scores = next(o["data"] for o in answer["outputs"] if o["name"] == "scores")
    assert scores[:2] == [0.5, 0.5]


def test_nested_data_and_chosen_outputs(server):
    body = {**tensor(shape=[2, 1], data=[[1.0], [-1.0]]), "outputs": [{"name": "scores"}]}
    status, answer = server.infer(body)
    assert status == 200
    assert [o["name"] for o in answer["outputs"]] == ["scores"]


def test_uneven_nesting_is_refused(server):
    for data in ([[1.0], 2.0], [[1.0], [2.0, 3.0]], [[[1.0]], [2.0]]):
        assert server.infer(tensor(shape=[2, 1], data=data))[0] == 400


def test_binary_tensors(server):
    request = {
        "inputs": [{"name": "age", "datatype": "FP32", "shape": [2, 1], "parameters": {"binary_data_size": 8}}],
        "outputs": [{"name": "scores", "parameters": {"binary_data": True}}],
    }
    head = json.dumps(request).encode()
    length = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    connection = server.connect()
    connection.request(
        "POST", INFER, head + struct.pack("<2f", 1.0, -1.0), {**length, "Authorization": f"Bearer {server.token}"}
    )
    response = connection.getresponse()
    content = response.read()
    connection.close()
    assert response.status == 200
    cut = int(response.headers["Inference-Header-Content-Length"])
    assert json.loads(content[:cut])["outputs"][0]["parameters"] == {"binary_data_size": 16}
    scores = np.frombuffer(content[cut:], "<f4").reshape(2, 2)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-6)

    for wrong in (b"\x00" * 7, b"\x00" * 9, b""):
        assert server.call("POST", INFER, head + wrong, headers=length)[0] == 400
    for claim in ("-1", "abc", "999999"):
        assert server.call("POST", INFER, head, headers={**length, "Inference-Header-Content-Length": claim})[0] == 400


def test_metadata_and_metrics(server, ask):
    status, answer = server.call("GET", "/v2/models/risk")
    assert status == 200
    assert answer["versions"] == ["1"]
    assert answer["inputs"] == [{"name": "age", "datatype": "FP32", "shape": [-1, 1]}]
    assert server.call("GET", "/v2/models/risk/versions/1")[1] == answer
    assert server.call("GET", "/v2/models/risk/ready")[0] == 200
    assert server.call("GET", "/v2")[1]["name"] == server.call("GET", "/v2/")[1]["name"] == "backstay"
    server.infer(ask(1.0))
    status, text = server.call("GET", "/metrics")
    assert status == 200
    for name in (
        "requests_total",
        "infer_seconds_bucket",
        "batch_rows_bucket",
        "unlogged_total",
        "swap_failures_total",
    ):
        assert f"backstay_{name}".encode() in text
    assert b'backstay_release{environment="production",model="risk"} 1.0' in text


def test_feedback(server, shared):
    path = "/v2/models/risk/feedback"
    journal = Journal(shared.folder / "journal")
    _, cursor = journal.feedback()
    assert server.call("POST", path, {"id": "a", "value": True})[1] == {"accepted": 1}
    assert server.call("POST", path, [{"id": "b", "value": 3}, {"id": "c", "value": "x", "kind": "rating"}])[0] == 200
    found, after = journal.feedback(cursor)
    assert [(f.prediction_id, f.value, f.kind, f.source) for f in found] == [
        ("a", "true", "label", "key:key0"),
        ("b", "3", "label", "key:key0"),
        ("c", "x", "rating", "key:key0"),
    ]
    assert journal.feedback(after)[0] == []
    timed = {"id": "d", "value": True, "kind": "override", "seconds": 12.5}
    assert server.call("POST", path, timed)[0] == 200
    late, after = journal.feedback(after)
    assert [(f.kind, f.seconds) for f in (*found, *late)] == [
        ("label", 0.0),
        ("label", 0.0),
        ("rating", 0.0),
        ("override", 12.5),
    ]
    assert server.call("POST", path, {**timed, "seconds": -1})[0] == 400
    for bad in (
        [],
        b"{",
        {"id": "a"},
        {"id": 1, "value": "x"},
        {"id": "a", "value": [1]},
        {"id": "", "value": "x"},
        {"id": "a", "value": ""},
    ):
        status, answer = server.call("POST", path, bad)
        assert (status, list(answer)) == (400, ["error"]), bad
    assert server.call("POST", path, {"id": "a", "value": "x", "kind": "nonsense"})[0] == 400
    assert journal.feedback(after)[0] == []


def _manifest(place):
    from backstay.bundle.manifest import Manifest

    release = json.loads((place.folder / "pointer.json").read_text())["release"]
    return Manifest.read(place.folder / "bundles" / release["model_id"] / "manifest.json")
