"""What a frame holds: answers with their inputs, or feedback."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from backstay.bundle.datatypes import numpy_dtype


class Tensor(msgspec.Struct, array_like=True):
    """A tensor as logged: raw little-endian bytes, or texts for BYTES."""

    datatype: str
    shape: list[int]
    data: bytes | list[str]


class Predictions(msgspec.Struct, tag="p", omit_defaults=True):
    """Answers of one request. `at` is microseconds since 1970, UTC; `inputs` is empty where they are not logged.

    `waited` is how many microseconds the request waited for its answers, 0 where that is not known.
    """

    model: str
    environment: str
    release: str
    model_id: str
    at: int
    ids: list[str]
    labels: list[str]
    scores: Tensor | None = None
    embeddings: Tensor | None = None
    inputs: dict[str, Tensor] = {}
    hashes: list[str] = []
    groups: list[str | None] | None = None
    context: dict[str, list[str | None]] = {}
    waited: int = 0


class Feedback(msgspec.Struct, tag="f", frozen=True, omit_defaults=True):
    """What somebody says of an earlier prediction. `source` comes from the key that posted it.

    `seconds` is how long a person took to decide, 0 where that was not told. Of kind "failure" it is what the server
    says of a request that it did not answer: the value is the HTTP status.
    """

    model: str
    environment: str
    prediction_id: str
    value: str
    source: str
    at: int
    kind: str = "label"
    seconds: float = 0.0


FAILURE = "failure"
# What the server tells of a search that it answered, and what somebody found in it.
SEARCH, FOUND = "search", "found"
Entry = Predictions | Feedback
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def pack(entry: Entry) -> bytes:
    return _encoder.encode(entry)


def unpack(payload: bytes) -> Entry:
    entry: Entry = _decoder.decode(payload)
    return entry


def tensor(values: npt.NDArray[Any], datatype: str) -> Tensor:
    """An array as it is logged."""
    if datatype == "BYTES":
        return Tensor(datatype, list(values.shape), [str(v) for v in values.reshape(-1)])
    return Tensor(datatype, list(values.shape), np.ascontiguousarray(values).tobytes())


def array(value: Tensor) -> npt.NDArray[Any]:
    """The array that was logged."""
    if isinstance(value.data, list):
        texts = np.empty(len(value.data), dtype=object)
        texts[:] = value.data
        return texts.reshape(value.shape)
    return np.frombuffer(value.data, dtype=numpy_dtype(value.datatype)).reshape(value.shape)
