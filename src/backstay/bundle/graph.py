"""Read an ONNX file that a stranger made, and refuse what is not one: pickles first of all, since they run code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx

from backstay.kernel.errors import BackstayError, NotFound

MAXIMUM_BYTES = 2 * 10**9
_PICKLED = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".sav", ".ckpt", ".bin"}
_SKLEARN_FIX = (
    "where it was trained, call `backstay.adopt(model, reference=..., target=...)`, which converts and compares it; "
    "or `skl2onnx.to_onnx(model, X[:1], options={id(model): {'zipmap': False}})`, but not for trees that met gaps"
)
_TORCH_FIX = (
    "where it was trained, call `backstay.adopt(module, example=..., reference=..., target=...)`, or "
    "`torch.onnx.export(module, (example,), 'model.onnx', dynamo=True)`"
)
_ELSEWHERE = {
    "`tf2onnx` makes ONNX of a Keras model: `tf2onnx.convert.from_keras(model)`": (".h5", ".hdf5", ".keras", ".pb"),
    "load it where it was trained and hand the fitted XGBoost or LightGBM classifier over from Python: "
    "`backstay.adopt(model, reference=..., target=...)`": (".ubj", ".bst", ".txt", ".json", ".lgb"),
    "CatBoost makes ONNX itself: `model.save_model('model.onnx', format='onnx')`": (".cbm",),
    "these are weights without a model: `torch.onnx.export(module, (example,), 'model.onnx', dynamo=True)`": (
        ".safetensors",
    ),
    "`tf2onnx` makes ONNX of it: `python -m tf2onnx.convert --tflite model.tflite --output model.onnx`": (".tflite",),
}


def read_graph(path: Path) -> tuple[onnx.ModelProto, bytes]:
    """The graph and its bytes.

    Raises:
        NotFound: no such file.
        BackstayError: a pickle or archive, too large, not ONNX, or with weights in other files.
    """
    if path.is_dir():
        raise BackstayError(
            f"{path} is a folder, and a model is one ONNX file", fix="name the file in it, such as FOLDER/model.onnx"
        )
    if not path.is_file():
        raise NotFound(f"there is no model file {path}", fix="name an ONNX file")
    with path.open("rb") as file:
        head = file.read(16)
    _refuse_pickles(path, head)
    _refuse_other_formats(path, head)
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


def _refuse_other_formats(path: Path, head: bytes) -> None:
    """Files of other libraries, by their ending or their first bytes: say how each becomes ONNX."""
    ending = ".h5" if head.startswith(b"\x89HDF\r\n\x1a\n") else path.suffix.lower()
    for fix, endings in _ELSEWHERE.items():
        if ending in endings:
            raise BackstayError(f"{path} is not an ONNX file", fix=fix)


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
