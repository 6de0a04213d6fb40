"""A tiny model as a bundle, and a real server process over it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from backstay.access.keys import create_key
from backstay.bundle.manifest import FORMAT_VERSION, InputSpec, Manifest, OutputSpec
from backstay.bundle.write import write_bundle
from backstay.kernel.codec import encode

ENTRY = Path(__file__).parent / "entry.py"


def tiny_onnx(slope: float) -> bytes:
    """Column "age" to scores of no/yes and an embedding; a missing age counts as zero."""
    nodes = [
        helper.make_node("IsNaN", ["age"], ["gap"]),
        helper.make_node("Where", ["gap", "zero", "age"], ["filled"]),
        helper.make_node("MatMul", ["filled", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
        helper.make_node("MatMul", ["filled", "e"], ["embedding"]),
    ]
    constants = {
        "zero": np.zeros((1, 1), np.float32),
        "w": np.array([[-slope, slope]], np.float32),
        "e": np.array([[1.0, 2.0, 3.0]], np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("age", TensorProto.FLOAT, ["rows", 1])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 2]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["rows", 3]),
        ],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def tiny_manifest() -> Manifest:
    return Manifest(
        format_version=FORMAT_VERSION,
        task="classification",
        inputs=(InputSpec("age", "FP32", (-1, 1), "column", ("age",)),),
        outputs=(
            OutputSpec("scores", "FP32", (-1, 2), "scores"),
            OutputSpec("embedding", "FP32", (-1, 3), "embedding"),
        ),
        classes=("no", "yes"),
    )


@dataclass
class Place:
    """A folder with bundles, a journal, a pointer and keys, as the server process finds them."""

    folder: Path
    token: str = ""
    sequence: int = 0
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def bundle(self, slope: float, space: str = "") -> str:
        return write_bundle(self.folder / "bundles", tiny_onnx(slope), replace(tiny_manifest(), space_id=space))

    def point(self, model_id: str, *, broken: str = "") -> str:
        """Move the live pointer; answers the release id. `broken` makes the pointer raise instead."""
        self.sequence += not broken
        release = {
            "id": f"release-{self.sequence}",
            "sequence": self.sequence,
            "model": "risk",
            "environment": "production",
            "model_id": model_id,
            "kind": "promoted",
            "measured": True,
            "actor": "test",
            "reason": "test",
            "created_at": "2026-01-01T00:00:00+00:00",
        }
        fresh = self.folder / "pointer.tmp"
        fresh.write_text(json.dumps({"release": release, "broken": broken}))
        fresh.replace(self.folder / "pointer.json")
        return str(release["id"])

    def keys(self, *scopes: tuple[str, ...]) -> list[str]:
        made = [create_key(f"key{i}", s) for i, s in enumerate(scopes)]
        (self.folder / "keys.json").write_text(json.dumps([encode(record) for _, record in made]))
        return [token for token, _ in made]

    def start(self, **serve: Any) -> Server:
        """A server process, ready to answer."""
        settings = {"name": "risk", "serve": {"port": 0, "minimum_free_bytes": 0, **serve}}
        (self.folder / "settings.json").write_text(json.dumps(settings))
        process = subprocess.Popen(
            [sys.executable, str(ENTRY), str(self.folder)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self.processes.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "serving":
                return Server(process, str(event["url"]), self.token)
        raise AssertionError("the server did not start")


@dataclass
class Server:
    """A running server, and requests to it."""

    process: subprocess.Popen[str]
    url: str
    token: str

    def connect(self) -> http.client.HTTPConnection:
        where = urlsplit(self.url)
        return http.client.HTTPConnection(where.hostname or "", where.port, timeout=20)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Status and decoded body. A body that is bytes is sent as it is."""
        connection = self.connect()
        sent = {"Authorization": f"Bearer {self.token if token is None else token}", **(headers or {})}
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, content, sent)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        is_json = response.headers.get("Content-Type") == "application/json"
        return response.status, json.loads(text) if is_json else text

    def infer(self, body: Any, **more: Any) -> tuple[int, Any]:
        return self.call("POST", "/v2/models/risk/infer", body, **more)


def ages(*values: float | None, **parameters: Any) -> dict[str, Any]:
    """A request for these ages."""
    return {
        "inputs": [{"name": "age", "datatype": "FP32", "shape": [len(values), 1], "data": list(values)}],
        "parameters": parameters,
    }


@pytest.fixture(scope="session")
def ask() -> Callable[..., dict[str, Any]]:
    return ages


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    made.token = made.keys(("predict", "feedback", "read"))[0]
    made.point(made.bundle(1.0))
    yield made
    _end(made)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One place for the tests of a file that change nothing but the log."""
    made = Place(tmp_path_factory.mktemp("shared"))
    made.token, *others = made.keys(("predict", "feedback", "read"), ("feedback",), ("predict",), ("read",))
    (made.folder / "tokens.json").write_text(json.dumps(others))
    made.point(made.bundle(1.0))
    yield made
    _end(made)


@pytest.fixture(scope="module")
def server(shared: Place) -> Server:
    return shared.start(max_rows=8, max_body_bytes=4096)


def _end(made: Place) -> None:
    for process in made.processes:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
