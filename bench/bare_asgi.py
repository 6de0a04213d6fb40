"""The floor: ONNX Runtime behind a bare ASGI application. No key, no log, no metrics, no limits, no checks.

It reads the same request and gives the same outputs as the servers that it is compared with, and nothing more.

    python bench/bare_asgi.py model.onnx 8080
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import uvicorn


class Tensor(msgspec.Struct):
    """An input of the Open Inference Protocol."""

    name: str
    shape: list[int]
    data: list[float]


class Request(msgspec.Struct):
    """A request of the Open Inference Protocol."""

    inputs: list[Tensor]


class Bare:
    """Decode, run, encode, in the event loop."""

    def __init__(self, model: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]
        self._decoder = msgspec.json.Decoder(Request)

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        content = self._answer(body)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, body: bytes) -> bytes:
        request = self._decoder.decode(body)
        given = {t.name: np.array(t.data, dtype=np.float32).reshape(t.shape) for t in request.inputs}
        outputs = [
            {
                "name": name,
                "shape": list(value.shape),
                "datatype": "INT64" if value.dtype == np.int64 else "FP32",
                "data": value.ravel().tolist(),
            }
            for name, value in zip(self._names, self._session.run(self._names, given), strict=True)
        ]
        return msgspec.json.encode({"model_name": "mlp", "outputs": outputs})


def main() -> None:
    model, port = Path(sys.argv[1]), int(sys.argv[2])
    uvicorn.run(Bare(model), port=port, log_level="warning", access_log=False, lifespan="off", server_header=False)


if __name__ == "__main__":
    main()
