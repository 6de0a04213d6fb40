"""Read an ONNX file that a stranger made, and refuse what is not one: pickles first of all, since they run code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx

from backstay.kernel.errors import BackstayError, NotFound

MAXIMUM_BYTES = 2 * 10**9
_PICKLED = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".sav", ".ckpt", ".bin"}
_SKLEARN_FIX = (
    "convert it where it was trained: `skl2onnx.to_onnx(model, X[:1], options={id(model): {'zipmap': False}})`"
)
_TORCH_FIX = "convert it where it was trained: `torch.onnx.export(model, (example,), 'model.onnx', dynamo=True)`"


def read_graph(path: Path) -> tuple[onnx.ModelProto, bytes]:
    """The graph and its bytes.

    Raises:
        NotFound: no such file.
        BackstayError: a pickle or archive, too large, not ONNX, or with weights in other files.
    """
    if not path.is_file():
        raise NotFound(f"there is no model file {path}", fix="name an ONNX file")
    with path.open("rb") as file:
        _refuse_pickles(path, file.read(16))
    size = path.stat().st_size
    if size > MAXIMUM_BYTES:
        raise BackstayError(f"{path} has {size:,} bytes, the limit is {MAXIMUM_BYTES:,}", fix="export a smaller model")
    content = path.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
        _refuse_external(path, model)
        onnx.checker.check_model(content)
    except BackstayError:
        raise
    except Exception as error:  # protobuf and onnx raise bare types of their own; the file is refused
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else "it cannot be parsed"
        raise BackstayError(f"{path} is not a sound ONNX model: {reason}", fix="export it again as one file") from error
    return model, content


def _refuse_pickles(path: Path, head: bytes) -> None:
    ending = path.suffix.lower()
    pickled = len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5
    archive = head.startswith((b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x93NUMPY")) or (
        len(head) > 1 and head[0] == 0x78 and head[1] in (0x01, 0x5E, 0x9C, 0xDA)
    )
    torch_made = ending in (".pt", ".pth", ".ckpt", ".bin") or head.startswith(b"PK\x03\x04")
    if pickled or archive or ending in _PICKLED:
        raise BackstayError(
            f"{path} is a pickle or an archive of one, and loading one runs whatever code is in it",
            fix=_TORCH_FIX if torch_made else _SKLEARN_FIX,
        )


def _refuse_external(path: Path, model: onnx.ModelProto) -> None:
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise BackstayError(
                f"{path} keeps the weights {tensor.name!r} in another file",
                fix="save it as one file: `onnx.save(onnx.load('model.onnx'), 'whole.onnx')`",
            )


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _tensors(inner)
