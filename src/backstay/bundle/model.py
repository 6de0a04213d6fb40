"""A bundle made ready to answer: every hash checked, one ONNX Runtime session, arrays or Arrow tables in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pyarrow as pa

from backstay.bundle.datatypes import numpy_dtype
from backstay.bundle.enhance import ENHANCE_FILE, Enhancer
from backstay.bundle.inputs import Arrays, arrays_for, text_of
from backstay.bundle.manifest import Manifest
from backstay.bundle.sets import texts_of
from backstay.bundle.tokens import TOKENIZER_FILE, SeveralTokens, Tokens, tokens_in
from backstay.bundle.write import MANIFEST_FILE, MODEL_FILE
from backstay.kernel.errors import BackstayError, NotFound, Tampered

ROWS_AT_ONCE = "backstay.rows_at_once"
"""What a graph may say in its own metadata: it needs much memory for a row, so many are to be asked together."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Answers, a row each.

    Args:
        labels: object array [n] of `str`.
        scores: float32 [n, classes], probabilities in the order of the manifest's classes; None when unknown.
        embeddings: float32 [n, dimension]; None when the model has none.
        distances: float32 [n], to the nearest example that the model holds; None when it holds none.
        numbers: float64 [n], the answers of a regression in the target's unit; `labels` are the same as text.
        members: bool [n, classes], which labels are in the set that is answered; `labels` are the sets as text, and
            `scores` are then a probability for each label on its own.
    """

    labels: npt.NDArray[np.object_]
    scores: npt.NDArray[np.float32] | None
    embeddings: npt.NDArray[np.float32] | None
    distances: npt.NDArray[np.float32] | None = None
    numbers: npt.NDArray[np.float64] | None = None
    members: npt.NDArray[np.bool_] | None = None

    @staticmethod
    def joined(parts: Sequence[Outputs]) -> Outputs:
        """The rows of one model's answers one after the other; one part or more."""
        if len(parts) == 1:
            return parts[0]
        whole: dict[str, Any] = {}
        for kind in fields(Outputs):
            values = [getattr(part, kind.name) for part in parts]
            whole[kind.name] = None if any(v is None for v in values) else np.concatenate(values)
        return Outputs(**whole)

    def take(self, rows: slice) -> Outputs:
        """The answers of these rows alone."""
        found: dict[str, Any] = {}
        for kind in fields(self):
            values = getattr(self, kind.name)
            found[kind.name] = None if values is None else values[rows]
        return Outputs(**found)


class Model:
    """A loaded bundle. Safe to use from several threads.

    Args:
        tokens: what turns texts into the graph's codes; needed where an input's adapter is "tokens".
        enhancer: what answers an image for an image, where the bundle can.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        session: onnxruntime.InferenceSession,
        tokens: Tokens | SeveralTokens | None = None,
        enhancer: Enhancer | None = None,
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.id = manifest.id
        self.classes = manifest.classes
        self._session = session
        self._tokens = tokens
        self.enhancer = enhancer
        self._texts = tuple(spec.name for spec in manifest.inputs if spec.adapter == "tokens")
        self._wanted = [o.name for o in manifest.outputs if o.role != "value"]
        most = session.get_modelmeta().custom_metadata_map.get(ROWS_AT_ONCE, "")
        self._most = int(most) if most.isdigit() else 0

    def run(self, arrays: Arrays) -> Outputs:
        """Answers for input tensors by name, rows first; texts as they are, whatever the graph makes of them.

        Raises:
            BackstayError: ONNX Runtime refuses the tensors.
        """
        rows = len(next(iter(arrays.values()))) if arrays else 0
        if rows == 0:
            return self._nothing()
        if self._texts:
            arrays = self._coded(arrays)
        try:
            found = self._session.run(self._wanted, arrays)
        except Exception as error:  # ONNX Runtime raises bare types of its own; nothing is answered
            reason = str(error).strip().splitlines()[0][:300] if str(error) else type(error).__name__
            raise BackstayError(
                f"the model could not answer: {reason}", fix="check the names, types and shapes of the inputs"
            ) from error
        return self._outputs(dict(zip(self._wanted, found, strict=True)))

    def predict(self, table: pa.Table, batch: int = 1024) -> Outputs:
        """Answers for the rows of a table, in its order. `batch` rows at a time bound the memory."""
        if table.num_rows == 0:
            arrays_for(self.manifest, table)
            return self._nothing()
        batch = min(batch, self._most or batch)
        parts = [
            self.run(arrays_for(self.manifest, table.slice(start, batch))) for start in range(0, table.num_rows, batch)
        ]
        return Outputs.joined(parts)

    def _coded(self, arrays: Arrays) -> Arrays:
        """The same tensors with the codes of the texts in their place."""
        if self._tokens is None:
            raise BackstayError(f"model {self.id} was opened without its tokenizer", fix="load it from its bundle")
        coded: Arrays = {}
        for name, values in arrays.items():
            texts = name in self._texts
            coded[name] = self._tokens.codes([text_of(v) for v in values.reshape(-1).tolist()]) if texts else values
        return coded

    def _outputs(self, found: dict[str, npt.NDArray[Any]]) -> Outputs:
        by_role = {o.role: found[o.name] for o in self.manifest.outputs if o.name in found}
        scores = None if "scores" not in by_role else both_sides(by_role["scores"], len(self.classes))
        embeddings, distances = by_role.get("embedding"), by_role.get("distance")
        numbers = members = None
        if "number" in by_role:
            numbers = np.asarray(by_role["number"], dtype=np.float64).reshape(len(by_role["number"]))
            labels = number_texts(numbers)
        elif "members" in by_role:
            members = np.asarray(by_role["members"], dtype=np.bool_)
            labels = texts_of(members, self.classes)
        elif "label" in by_role:
            labels = label_texts(by_role["label"], self.classes)
        elif scores is not None:
            labels = np.array(self.classes, dtype=object)[scores.argmax(axis=1)]
        else:
            raise BackstayError(f"model {self.id} has neither a label nor scores", fix="export it with one of them")
        return Outputs(
            labels,
            None if scores is None else np.asarray(scores, dtype=np.float32),
            None if embeddings is None else np.asarray(embeddings, dtype=np.float32).reshape(len(embeddings), -1),
            None if distances is None else np.asarray(distances, dtype=np.float32).reshape(len(distances)),
            numbers,
            members,
        )

    def _nothing(self) -> Outputs:
        embedding = self.manifest.output("embedding")
        width = 0 if embedding is None else max(embedding.shape[-1], 0)
        return Outputs(
            np.empty(0, dtype=object),
            None if self.manifest.output("scores") is None else np.zeros((0, len(self.classes)), np.float32),
            None if embedding is None else np.zeros((0, width), np.float32),
            None if self.manifest.output("distance") is None else np.zeros(0, np.float32),
            None if self.manifest.output("number") is None else np.zeros(0, np.float64),
            None if self.manifest.output("members") is None else np.zeros((0, len(self.classes)), np.bool_),
        )


def load(directory: Path, *, expected_id: str | None = None) -> Model:
    """Load a bundle after checking that it is what its id says.

    Raises:
        NotFound: there is no bundle.
        Tampered: the manifest or a file does not hash to what the id or the manifest says.
    """
    manifest = Manifest.read(directory / MANIFEST_FILE)
    expected = expected_id or (directory.name if directory.name.startswith("model-") else manifest.id)
    if manifest.id != expected:
        raise Tampered(
            f"the manifest in {directory} hashes to {manifest.id}, recorded is {expected}",
            fix="restore the bundle from a backup, and find out who changed it",
        )
    content = {name: _checked(directory / name, entry.sha256, entry.size) for name, entry in manifest.files.items()}
    if MODEL_FILE not in content:
        raise Tampered(f"the bundle {directory} names no {MODEL_FILE}", fix="restore the bundle from a backup")
    tokens = None
    if any(spec.adapter == "tokens" for spec in manifest.inputs):
        tokens = tokens_in(content)
        if tokens is None:
            raise Tampered(f"the bundle {directory} names no {TOKENIZER_FILE}", fix="restore the bundle from a backup")
    enhancer = None
    if ENHANCE_FILE in content:
        enhancer = Enhancer(open_session(content[ENHANCE_FILE]))
    return Model(directory, manifest, open_session(content[MODEL_FILE]), tokens, enhancer)


def open_session(content: bytes) -> onnxruntime.InferenceSession:
    """A CPU session of one thread over these bytes: no telemetry, no spinning threads, no file but these bytes."""
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises bare types of its own; nothing is loaded
        reason = str(error).strip().splitlines()[0][:300]
        raise BackstayError(
            f"ONNX Runtime cannot open the model: {reason}",
            fix="export it with standard operators and an opset that this ONNX Runtime knows",
        ) from error


def label_texts(values: npt.NDArray[Any], classes: tuple[str, ...]) -> npt.NDArray[np.object_]:
    """Labels as Backstay writes them: whole numbers as digits, and 0 and 1 as false and true for a boolean target."""
    flat = np.asarray(values).reshape(len(values))
    boolean = flat.dtype == np.bool_ or (flat.dtype.kind in "iu" and set(classes) == {"false", "true"})
    texts = np.empty(len(flat), dtype=object)
    if boolean:
        texts[:] = ["true" if v else "false" for v in flat.tolist()]
    elif flat.dtype.kind == "f":
        texts[:] = [str(int(v)) if float(v).is_integer() else str(v) for v in flat.tolist()]
    else:
        texts[:] = [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in flat.tolist()]
    return texts


def number_texts(values: npt.NDArray[np.float64]) -> npt.NDArray[np.object_]:
    """Numbers as the log keeps them: the shortest text that reads back as the same number.

    >>> number_texts(np.array([0.1, 3.0, float("nan")])).tolist()
    ['0.1', '3.0', 'nan']
    """
    texts = np.empty(len(values), dtype=object)
    texts[:] = [repr(v) for v in values.tolist()]
    return texts


def both_sides(scores: npt.NDArray[Any], classes: int) -> npt.NDArray[Any]:
    """Scores as [rows, classes]: a single probability becomes that of the second class, beside its complement."""
    wide = scores.reshape(len(scores), -1)
    if wide.shape[1] == 1 and classes == 2:
        return np.concatenate([1.0 - wide, wide], axis=1).astype(numpy_dtype("FP32"))
    return wide


def _checked(path: Path, sha256: str, size: int) -> bytes:
    try:
        found_size = path.stat().st_size
        if found_size != size:
            raise Tampered(f"{path} has {found_size} bytes, recorded are {size}", fix="restore it from a backup")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"the bundle lacks {path.name} ({path})", fix="restore the bundle from a backup") from error
    except OSError as error:
        raise BackstayError(f"{path} cannot be read ({error.strerror})", fix="correct its permissions") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise Tampered(
            f"{path} hashes to {found[:16]}..., recorded is {sha256[:16]}...",
            fix="restore the bundle from a backup, and find out who changed it",
        )
    return content
