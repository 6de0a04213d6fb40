"""Open Inference Protocol v2: requests to tensors, answers to JSON or binary tensors.

Source: kserve/open-inference-protocol (REST) and its binary tensor data extension.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from backstay.bundle.datatypes import FLOATS, numpy_dtype
from backstay.bundle.manifest import InputSpec, Manifest
from backstay.bundle.model import Outputs
from backstay.serve.problems import Problem
from backstay.serve.set_answers import set_answers

MOST_ID = 256
LENGTH = struct.Struct("<I")
# What an output is sent as, by its role, whatever the graph has inside.
TYPES = {"label": "BYTES", "number": "FP64", "members": "BOOL"}


class RequestTensor(msgspec.Struct):
    """One input of a request. `data` is decoded only once its datatype is known to be right."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.Raw()
    parameters: dict[str, Any] = {}


class RequestedOutput(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct):
    """The body of an inference request, unknown members ignored as the protocol wants."""

    inputs: list[RequestTensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[RequestedOutput] | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A request that has been checked against the manifest.

    Args:
        ids: a prediction id a row.
        wanted: output names, each with whether it is to be sent as binary; empty for all, as JSON.
        probe: not logged: somebody checks that the server answers.
        parameters: what the request says besides, as it came.
    """

    request_id: str | None
    arrays: dict[str, npt.NDArray[Any]]
    rows: int
    ids: list[str] | None
    groups: list[str | None] | None
    context: dict[str, list[str | None]]
    wanted: dict[str, bool]
    probe: bool
    parameters: dict[str, Any] = field(default_factory=dict)


_decoder = msgspec.json.Decoder(InferRequest)
_floats = msgspec.json.Decoder(list[float])
_floats_or_null = msgspec.json.Decoder(list[float | None])
_integers = msgspec.json.Decoder(list[int])
_booleans = msgspec.json.Decoder(list[bool])
_texts = msgspec.json.Decoder(list[str | None])


def parse(body: bytes, header_length: int | None, manifest: Manifest, *, max_rows: int) -> Question:
    """Check a request against what the model takes. Raises Problem with status 400 or 413."""
    head = body if header_length is None else body[:header_length]
    if header_length is not None and not 0 < header_length <= len(body):
        raise Problem(400, f"Inference-Header-Content-Length is {header_length}, the body has {len(body)} bytes")
    try:
        request = _decoder.decode(head)
    except msgspec.ValidationError as error:
        raise Problem(400, f"the request is not an inference request: {error}", "see docs/serving.md") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(
            400, f"the body is not JSON: {error}", "send a JSON object (NaN is not JSON; say null)"
        ) from error
    given = {tensor.name: tensor for tensor in request.inputs}
    specs = {spec.name: spec for spec in manifest.inputs}
    if len(given) < len(request.inputs):
        raise Problem(400, "an input is given twice", "give each input once")
    missing, strange = sorted(set(specs) - set(given)), sorted(set(given) - set(specs))
    if missing or strange:
        told = f"input {missing[0]!r} is missing" if missing else f"there is no input {strange[0]!r}"
        raise Problem(400, told, f"the model takes {', '.join(sorted(specs))}")
    rows = _rows(request.inputs, max_rows)
    tail = memoryview(body)[header_length or len(body) :]
    arrays: dict[str, npt.NDArray[Any]] = {}
    for tensor in request.inputs:
        arrays[tensor.name], tail = _array(tensor, specs[tensor.name], rows, tail)
    if len(tail):
        raise Problem(400, f"{len(tail)} bytes follow the last tensor", "correct binary_data_size")
    return Question(
        request_id=request.id,
        arrays=arrays,
        rows=rows,
        ids=_ids(request, rows),
        groups=_texts_a_row(request.parameters.get("groups"), rows, "groups"),
        context=_context(request.parameters.get("context"), rows),
        wanted=_wanted(request, manifest),
        probe=request.parameters.get("probe") is True,
        parameters=request.parameters,
    )


def _rows(tensors: list[RequestTensor], max_rows: int) -> int:
    counts = {tensor.shape[0] if tensor.shape else -1 for tensor in tensors}
    if len(counts) != 1 or min(counts) < 1:
        raise Problem(
            400, "the inputs do not have one common number of rows, at least 1", "the first dimension is the rows"
        )
    rows = counts.pop()
    if rows > max_rows:
        raise Problem(413, f"{rows} rows in one request, at most {max_rows} are taken", "send several requests")
    return rows


def _array(tensor: RequestTensor, spec: InputSpec, rows: int, tail: memoryview) -> tuple[npt.NDArray[Any], memoryview]:
    if tensor.datatype != spec.datatype:
        raise Problem(400, f"input {spec.name!r} is {tensor.datatype}, the model takes {spec.datatype}")
    if spec.adapter == "tokens" and len(tensor.shape) == 1:
        # One text a row: whether it is sent as a column or as a list makes no difference.
        tensor.shape = [*tensor.shape, 1]
    wanted = [rows if size == -1 and place == 0 else size for place, size in enumerate(spec.shape)]
    fits = len(wanted) == len(tensor.shape) and all(w in (-1, s) for w, s in zip(wanted, tensor.shape, strict=True))
    if not fits or any(size < 0 for size in tensor.shape):
        raise Problem(400, f"input {spec.name!r} has shape {tensor.shape}, the model takes {wanted}")
    count = int(np.prod(tensor.shape))
    size = tensor.parameters.get("binary_data_size")
    if size is not None:
        if not isinstance(size, int) or not 0 <= size <= len(tail):
            raise Problem(400, f"binary_data_size of {spec.name!r} is {size!r}, {len(tail)} bytes are left")
        values, tail = _binary(spec, tail[:size], count), tail[size:]
    else:
        values = _json_values(spec, tensor.data, count)
    gaps = spec.datatype in FLOATS and not np.all(np.isfinite(values))
    if gaps and (spec.adapter == "image" or not np.all(np.isnan(values) | np.isfinite(values))):
        raise Problem(
            400, f"input {spec.name!r} holds NaN or infinity, which the model does not take", "send finite numbers"
        )
    if gaps and not _nullable(spec):
        raise Problem(400, f"input {spec.name!r} holds NaN, which the model does not take", "send finite numbers")
    return values.reshape(tensor.shape), tail


def _nullable(spec: InputSpec) -> bool:
    """One value a row of one column: there a missing value means something to the model."""
    return spec.adapter == "column"


def _binary(spec: InputSpec, data: memoryview, count: int) -> npt.NDArray[Any]:
    if spec.datatype == "BYTES":
        return _binary_texts(spec, bytes(data), count)
    kind = numpy_dtype(spec.datatype)
    if len(data) != count * kind.itemsize:
        raise Problem(400, f"input {spec.name!r} has {len(data)} bytes, its shape asks for {count * kind.itemsize}")
    return np.frombuffer(data, dtype=kind)


def _binary_texts(spec: InputSpec, data: bytes, count: int) -> npt.NDArray[Any]:
    texts: list[str] = []
    place = 0
    while place < len(data):
        if place + LENGTH.size > len(data):
            raise Problem(400, f"input {spec.name!r} ends in the middle of a length")
        (length,) = LENGTH.unpack_from(data, place)
        place += LENGTH.size
        if place + length > len(data):
            raise Problem(400, f"input {spec.name!r} ends in the middle of a text")
        try:
            texts.append(data[place : place + length].decode())
        except UnicodeDecodeError as error:
            raise Problem(400, f"input {spec.name!r} holds bytes that are not UTF-8", "encode text as UTF-8") from error
        place += length
    return _objects(spec, texts, count)


def _json_values(spec: InputSpec, raw: msgspec.Raw, count: int) -> npt.NDArray[Any]:
    data = bytes(raw)
    if not data:
        raise Problem(400, f"input {spec.name!r} has no data")
    try:
        values = _flat(spec, data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"the data of input {spec.name!r} are not {spec.datatype}: {error}") from error
    if spec.datatype == "BYTES":
        return _objects(spec, ["" if v is None else str(v) for v in values], count)
    if len(values) != count:
        raise Problem(400, f"input {spec.name!r} has {len(values)} values, its shape asks for {count}")
    if spec.datatype in FLOATS:
        return np.array(values, dtype=numpy_dtype(spec.datatype))
    if spec.datatype == "BOOL":
        return np.array(values, dtype=np.bool_)
    bounds = np.iinfo(numpy_dtype(spec.datatype))
    if values and (min(values) < bounds.min or max(values) > bounds.max):
        raise Problem(400, f"input {spec.name!r} holds values outside {spec.datatype} ({bounds.min} to {bounds.max})")
    return np.array(values, dtype=numpy_dtype(spec.datatype))


def _flat(spec: InputSpec, data: bytes) -> list[Any]:
    """Values in row-major order. Nested lists, which the protocol allows too, are flattened first."""
    if data.lstrip()[:1] == b"[" and data.lstrip()[1:].lstrip()[:1] == b"[":
        nested = msgspec.json.decode(data)
        while nested and isinstance(nested[0], list):
            if not all(isinstance(part, list) for part in nested):
                raise Problem(400, f"the data of input {spec.name!r} are nested unevenly")
            nested = [value for part in nested for value in part]
        data = msgspec.json.encode(nested)
    if spec.datatype in FLOATS:
        if b"null" in data:
            return [float("nan") if v is None else v for v in _floats_or_null.decode(data)]
        return _floats.decode(data)
    if spec.datatype == "BOOL":
        return _booleans.decode(data)
    if spec.datatype == "BYTES":
        return _texts.decode(data)
    return _integers.decode(data)


def _objects(spec: InputSpec, texts: list[str], count: int) -> npt.NDArray[Any]:
    if len(texts) != count:
        raise Problem(400, f"input {spec.name!r} has {len(texts)} values, its shape asks for {count}")
    found = np.empty(count, dtype=object)
    found[:] = texts
    return found


def _ids(request: InferRequest, rows: int) -> list[str] | None:
    ids = request.parameters.get("prediction_ids")
    if ids is None:
        if not request.id:
            return None
        return [request.id] if rows == 1 else [f"{request.id}/{row}" for row in range(rows)]
    if (
        not isinstance(ids, list)
        or len(ids) != rows
        or not all(isinstance(i, str) and 0 < len(i) <= MOST_ID for i in ids)
    ):
        raise Problem(400, f"prediction_ids must be {rows} texts of 1 to {MOST_ID} characters, one a row")
    if len(set(ids)) < rows:
        raise Problem(400, "prediction_ids are not all different")
    return ids


def _texts_a_row(values: Any, rows: int, name: str) -> list[str | None] | None:
    if values is None:
        return None
    if not isinstance(values, list) or len(values) != rows or not all(v is None or isinstance(v, str) for v in values):
        raise Problem(400, f"{name} must be {rows} texts or nulls, one a row")
    return values


def _context(values: Any, rows: int) -> dict[str, list[str | None]]:
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise Problem(400, "context must be an object of lists, one text a row")
    return {str(name): _texts_a_row(column, rows, f"context.{name}") or [] for name, column in values.items()}


def _wanted(request: InferRequest, manifest: Manifest) -> dict[str, bool]:
    all_binary = request.parameters.get("binary_data_output") is True
    known = {o.name for o in manifest.outputs if o.role != "value"}
    if request.outputs is None:
        return dict.fromkeys(sorted(known), True) if all_binary else {}
    for output in request.outputs:
        if output.name not in known:
            raise Problem(400, f"there is no output {output.name!r}", f"the model gives {', '.join(sorted(known))}")
    return {o.name: o.parameters.get("binary_data") is True or all_binary for o in request.outputs}


def answer(
    question: Question, outputs: Outputs, manifest: Manifest, *, name: str, version: str, parameters: dict[str, Any]
) -> tuple[bytes, int | None]:
    """The response body, and the length of its JSON part when binary tensors follow."""
    by_role: dict[str, Any] = {
        "label": outputs.labels,
        "scores": outputs.scores,
        "embedding": outputs.embeddings,
        "distance": outputs.distances,
        "number": outputs.numbers,
        "members": outputs.members,
    }
    tensors: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for spec in manifest.outputs:
        values = by_role.get(spec.role)
        if values is None or (question.wanted and spec.name not in question.wanted):
            continue
        datatype = TYPES.get(spec.role, "FP32")
        entry: dict[str, Any] = {"name": spec.name, "datatype": datatype, "shape": list(values.shape)}
        if question.wanted.get(spec.name):
            blob = _blob(values, datatype)
            entry["parameters"] = {"binary_data_size": len(blob)}
            blobs.append(blob)
        else:
            entry["data"] = values.reshape(-1).tolist()
        tensors.append(entry)
    if outputs.members is not None and not question.wanted:
        parameters = {**parameters, "answers": set_answers(outputs, manifest.classes)}
    body: dict[str, Any] = {"model_name": name, "model_version": version, "outputs": tensors, "parameters": parameters}
    if question.request_id is not None:
        body["id"] = question.request_id
    head = msgspec.json.encode(body)
    return (head, None) if not blobs else (head + b"".join(blobs), len(head))


def _blob(values: npt.NDArray[Any], datatype: str) -> bytes:
    if datatype != "BYTES":
        return np.ascontiguousarray(values, dtype=numpy_dtype(datatype)).tobytes()
    parts = [str(v).encode() for v in values.reshape(-1)]
    return b"".join(LENGTH.pack(len(p)) + p for p in parts)


def metadata(manifest: Manifest, name: str, versions: list[str]) -> dict[str, Any]:
    """The model's metadata as the protocol has it."""
    outputs = [
        {
            "name": o.name,
            "datatype": TYPES.get(o.role, o.datatype),
            "shape": list(o.shape),
        }
        for o in manifest.outputs
        if o.role != "value"
    ]
    return {
        "name": name,
        "versions": versions,
        "platform": "onnx_onnxv1",
        "inputs": [{"name": i.name, "datatype": i.datatype, "shape": list(i.shape)} for i in manifest.inputs],
        "outputs": outputs,
    }
