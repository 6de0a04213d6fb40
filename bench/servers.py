"""The servers that are measured: each a real process on a free port of loopback, with the same ONNX file."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlp

HERE = Path(__file__).resolve().parent
START_SECONDS = 60.0
STOP_SECONDS = 20.0
MODEL = "mlp"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers: where, with which key, and which process it is."""

    name: str
    url: str
    pid: int
    key: str | None = None

    @property
    def infer(self) -> str:
        return f"{self.url}/v2/models/{MODEL}/infer"

    def ask(self, body: bytes) -> dict[str, Any]:
        """One request, its answer decoded."""
        headers = {"content-type": "application/json"}
        if self.key is not None:
            headers["authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.infer, body, headers)  # noqa: S310 - loopback, made here
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            answer: dict[str, Any] = json.load(response)
        return answer


@contextmanager
def backstay(folder: Path, model: Path) -> Iterator[Server]:
    """`backstay serve` as it comes: key on, every prediction logged with its inputs."""
    folder.mkdir()
    reference = folder / "reference.parquet"
    mlp.write_reference(reference, model)
    shutil.copy(model, folder / "model.onnx")
    _backstay(folder, "adopt", "model.onnx", "--reference", reference.name, "--target", "y", "--name", MODEL)
    key = _backstay(folder, "key", "create", "bench").strip()
    port = _free_port()
    command = [sys.executable, "-m", "backstay.cli.main", "serve", "--port", str(port)]
    with _running(command, folder) as process:
        server = Server("Backstay", f"http://127.0.0.1:{port}", process.pid, key)
        _wait(server, process, folder)
        yield server


@contextmanager
def bare(folder: Path, model: Path) -> Iterator[Server]:
    """The floor."""
    folder.mkdir()
    port = _free_port()
    with _running([sys.executable, str(HERE / "bare_asgi.py"), str(model), str(port)], folder) as process:
        server = Server("bare ASGI", f"http://127.0.0.1:{port}", process.pid)
        _wait(server, process, folder)
        yield server


@contextmanager
def mlserver(folder: Path, model: Path, python: Path) -> Iterator[Server]:
    """MLServer with a custom ONNX Runtime model, its request log off; the model runs in the server's process."""
    folder.mkdir()
    shutil.copy(HERE / "mlserver_runtime.py", folder)
    port = _free_port()
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": _free_port(),
        "metrics_port": _free_port(),
        "parallel_workers": 0,
    }
    served = {
        "name": MODEL,
        "implementation": "mlserver_runtime.OnnxRuntime",
        "parameters": {"uri": str(model)},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(served))
    with _running([str(python.with_name("mlserver")), "start", "."], folder) as process:
        server = Server("MLServer", f"http://127.0.0.1:{port}", process.pid)
        _wait(server, process, folder)
        yield server


def _backstay(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "backstay.cli.main", *arguments]
    environment = {**os.environ, **ONE_THREAD}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"`backstay {' '.join(arguments)}` ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def _running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "server.log").open("wb") as log:
        environment = {**os.environ, **ONE_THREAD}
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(server: Server, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until the model answers."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            server.ask(request_body(1))
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
            continue
        return
    raise RuntimeError(f"{server.name} did not start: {(folder / 'server.log').read_text()[-2000:]}")


def request_body(rows: int) -> bytes:
    """A request of the Open Inference Protocol with this many rows, in JSON."""
    drawn = mlp.draw_rows(rows, seed=7)
    data = [round(float(v), 6) for v in drawn.ravel()]
    tensor = {"name": "X", "datatype": "FP32", "shape": list(drawn.shape), "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
