"""One tiny project for tests of the whole product: made once, copied for each test."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings

# Machines are shared and noisy: how long an example takes says nothing about the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

ROWS = 300
POLICY = """
[gate]
minimum_n = 100
rules = [
  { rule = "no_worse_than_champion", margin = 0.05 },
]
"""


def threshold_onnx(weights: tuple[float, float], bias: float = 0.0, *, wide: bool = False) -> bytes:
    """Columns a and b (and c if `wide`) to the scores of no and yes: a logistic rule that somebody else exported."""
    from onnx import TensorProto, helper, numpy_helper

    names = ("a", "b", "c") if wide else ("a", "b")
    column = (*weights, 0.0)[: len(names)]
    matrix = np.array([[-w, w] for w in column], np.float32)
    nodes = [
        helper.make_node("Concat", list(names), ["row"], axis=1),
        helper.make_node("MatMul", ["row", "w"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "threshold",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["rows", 1]) for n in names],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 2])],
        [
            numpy_helper.from_array(matrix, "w"),
            numpy_helper.from_array(np.array([[-bias, bias]], np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def threshold() -> Callable[..., bytes]:
    """Makes the ONNX bytes of a logistic rule."""
    return threshold_onnx


def threshold_rows(n: int = ROWS, seed: int = 0, stem: str = "r") -> pa.Table:
    """Rows whose truth is the sign of a + b, with a little noise: the first model is right on most of them."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n), rng.normal(size=n)
    noisy = a + b + rng.normal(scale=0.3, size=n) > 0
    return pa.table(
        {
            "id": [f"{stem}-{i}" for i in range(n)],
            "a": a,
            "b": b,
            "y": np.where(noisy, "yes", "no").tolist(),
        }
    )


@dataclass(frozen=True)
class Tiny:
    """A folder with an adopted model "tiny", and files to go on with.

    Args:
        folder: holds backstay.toml, good.onnx (as good as the champion), bad.onnx (wrong), rows.parquet (no labels).
    """

    folder: Path

    def file(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def database(self) -> Path:
        return self.folder / ".backstay" / "state.db"

    def tables(self) -> dict[str, list[Any]]:
        """Everything that the store holds, table by table."""
        with closing(sqlite3.connect(self.database)) as connection:
            names = [r[0] for r in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {n: connection.execute(f"SELECT * FROM {n} ORDER BY rowid").fetchall() for n in sorted(names)}  # noqa: S608 - the names are the store's own

    def files(self) -> dict[str, str]:
        """Every other file of the project and its hash."""
        found = (p for p in sorted(self.folder.rglob("*")) if p.is_file() and not p.name.startswith("state.db"))
        return {str(p.relative_to(self.folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}

    def execute(self, statement: str, *values: Any) -> None:
        """Change the store behind Backstay's back."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement, values)


def run_quietly(*arguments: str) -> None:
    from backstay.cli.main import run

    assert run(list(arguments)) == 0


def environment() -> dict[str, str]:
    """For a process that a test starts: one thread, so that two cores are enough for all of them."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "BACKSTAY_ACTOR": "test"}


@dataclass
class Serving:
    """`backstay serve` as a process of its own, and requests to it."""

    process: subprocess.Popen[str]
    url: str
    token: str
    folder: Path

    @classmethod
    def start(cls, folder: Path, token: str = "") -> Serving:
        """Start it on a free port; answers when it has said that it serves."""
        with (folder.parent / "server.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "backstay.cli.main", "serve", "--port", "0", "--json", "--project", str(folder)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(),
            )
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "serving":
                return cls(process, str(event["url"]), token, folder)
        raise AssertionError((folder.parent / "server.log").read_text())

    def connect(self) -> http.client.HTTPConnection:
        where = urlsplit(self.url)
        return http.client.HTTPConnection(where.hostname or "", where.port, timeout=20)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and decoded answer. A body of bytes is sent as it is."""
        connection = self.connect()
        sent = {"Authorization": f"Bearer {self.token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def new_key(folder: Path, name: str, *scopes: str) -> str:
    """The secret of a fresh key."""
    from backstay.project import Project

    return Project.open(folder).keys.create(name, scopes=scopes).token


@pytest.fixture(scope="module")
def serving_process() -> Iterator[Callable[..., Serving]]:
    """Starts servers with a key to predict and send feedback; ends those that a file's tests have left running."""
    started: list[Serving] = []

    def start(folder: Path, token: str = "") -> Serving:
        started.append(Serving.start(folder, token or new_key(folder, "app", "predict", "feedback")))
        return started[-1]

    yield start
    for one in started:
        one.end()


def rows_asked(a: list[float], b: list[float], **parameters: Any) -> dict[str, Any]:
    """An inference request for the tiny model."""
    columns = (("a", a), ("b", b))
    return {
        "inputs": [{"name": n, "datatype": "FP32", "shape": [len(v), 1], "data": v} for n, v in columns],
        "parameters": parameters,
    }


@pytest.fixture(scope="session")
def asked() -> Callable[..., dict[str, Any]]:
    return rows_asked


@pytest.fixture(scope="session")
def tiny_original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny project as it is after `adopt`; nobody may change it."""
    folder = tmp_path_factory.mktemp("tiny-original")
    for name, weights in (("champion", (2.0, 2.0)), ("good", (2.1, 2.0)), ("bad", (-1.0, 0.5))):
        (folder / f"{name}.onnx").write_bytes(threshold_onnx(weights))
    reference = threshold_rows()
    pq.write_table(reference, folder / "ref.parquet")
    pq.write_table(threshold_rows(120, seed=1, stem="live").drop_columns(["y"]), folder / "rows.parquet")
    where = ("--project", str(folder))
    run_quietly(
        "adopt",
        str(folder / "champion.onnx"),
        "--reference",
        str(folder / "ref.parquet"),
        "--target",
        "y",
        "--id",
        "id",
        "--name",
        "tiny",
        *where,
    )
    file = folder / "backstay.toml"
    file.write_text(file.read_text() + POLICY if "[gate]" not in file.read_text() else file.read_text())
    return folder


@pytest.fixture
def tiny(tiny_original: Path, tmp_path: Path) -> Tiny:
    """A copy of the tiny project, for one test to spoil."""
    folder = tmp_path / "project"
    shutil.copytree(tiny_original, folder)
    return Tiny(folder)


@dataclass
class Receiver:
    """What arrived, and what is answered next (200 when nothing is planned)."""

    port: int = 0
    planned: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?team=a"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            kept.headers.append({k.lower(): v for k, v in self.headers.items()})
            status = kept.planned.pop(0) if kept.planned else 200
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("location", f"http://127.0.0.1:{kept.port}/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    kept.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield kept
    server.shutdown()
    thread.join()
    server.server_close()
