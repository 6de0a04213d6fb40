"""A client as somebody else would write it: the standard library, Open Inference Protocol v2 over HTTP."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from backstay.demo.scans import Batch
from backstay.kernel.errors import BackstayError


@dataclass
class Client:
    """Sends scans to the server and remembers what came back."""

    url: str
    key: str
    model: str
    sent: int = 0
    failed: int = 0
    _connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    def infer(self, batch: Batch, ids: list[str]) -> list[str]:
        """Predicted labels for a batch, in one request."""
        body = {
            "inputs": [
                {
                    "name": "image",
                    "datatype": "UINT8",
                    "shape": list(batch.pixels.shape),
                    "data": batch.pixels.ravel().tolist(),
                }
            ],
            "parameters": {
                "prediction_ids": ids,
                "groups": batch.groups,
                "context": {"office": list(batch.offices)},
            },
        }
        answer = self.call("POST", f"/v2/models/{self.model}/infer", body)
        self.sent += len(batch)
        return [str(v) for v in next(o["data"] for o in answer["outputs"] if o["name"] == "label")]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request; raises BackstayError with the server's own words when it is not answered with 200."""
        sent = None if body is None else json.dumps(body)
        try:
            response, content = self._exchange(method, path, sent)
        except (http.client.RemoteDisconnected, ConnectionError):
            # A connection that lay idle for long may have been closed meanwhile: once more on a fresh one.
            self._connection = None
            response, content = self._exchange(method, path, sent)
        if response.status != 200:
            self.failed += 1
            raise BackstayError(f"the server answered {response.status}: {content[:300].decode()}", fix="see its log")
        return json.loads(content) if content else None

    def _exchange(self, method: str, path: str, body: str | None) -> tuple[http.client.HTTPResponse, bytes]:
        if self._connection is None:
            where = urlsplit(self.url)
            self._connection = http.client.HTTPConnection(where.hostname or "127.0.0.1", where.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        return response, response.read()


class Probe(threading.Thread):
    """Asks for an answer all the time while a model is swapped: which release answered, how often it failed."""

    def __init__(self, client: Client, batch: Batch) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._batch = batch
        self._ended = threading.Event()
        self.answers: list[tuple[float, str]] = []
        self.failures: list[str] = []

    def run(self) -> None:
        row: npt.NDArray[np.uint8] = self._batch.pixels[:1]
        body = {
            "inputs": [{"name": "image", "datatype": "UINT8", "shape": list(row.shape), "data": row.ravel().tolist()}],
            "parameters": {"probe": True},
        }
        while not self._ended.is_set():
            try:
                answer = self._client.call("POST", f"/v2/models/{self._client.model}/infer", body)
                self.answers.append((time.monotonic(), str(answer["model_version"])))
            except (BackstayError, OSError, http.client.HTTPException) as error:
                self.failures.append(str(error))
            time.sleep(0.005)

    def finish(self) -> None:
        self._ended.set()
        self.join()

    def first_answer_of(self, version: str) -> float | None:
        """When (monotonic seconds) this version answered for the first time."""
        return next((at for at, seen in self.answers if seen == version), None)
