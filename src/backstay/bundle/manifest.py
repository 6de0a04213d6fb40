"""What a bundle says of itself. Its canonical JSON, hashed, is the model's id; there is no clock in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backstay.bundle.datatypes import FLOATS, numpy_dtype
from backstay.kernel.codec import decode, encode
from backstay.kernel.errors import BackstayError, NotFound
from backstay.kernel.ids import content_id, digest

# The newest format that is read. What needs nothing of a newer one is written in the older: see `format_for`.
FORMAT_VERSION = 6
SEVERAL_TOKENIZERS = 6
ADAPTERS = ("column", "matrix", "image", "tokens", "vector")
SINCE = {"tokens": 2, "vector": 2, "distance": 3, "number": 4, "members": 5}
NONE = "none of these"
"""What a model answers for rows of none of its classes, unless told otherwise."""
ROLES = ("label", "scores", "embedding", "distance", "number", "members", "value")


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input tensor and the columns it is made of.

    Args:
        datatype: Open Inference Protocol type: "FP32", "INT64", "BYTES", "UINT8", ...
        shape: -1 first, for the rows.
        adapter: "column" (one value a row), "matrix" (columns side by side), "image", "vector" (one column of number
            lists, [rows, length]) or "tokens" (one column of texts, BYTES [rows, 1] for whoever asks; the graph takes
            INT64 codes [rows, length] under the same name, which the bundle's tokenizer.json makes of them; from format
            6 on further ones beside it, tokenizer_2.json and so on, may each add their own).
        column_shape: (height, width, channels) of the image column where there is one, else empty.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    adapter: str
    columns: tuple[str, ...]
    column_shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One output tensor and what it means: "label", "scores", "embedding", "distance" (to the nearest example that the
    head holds), "number" (the answer of a regression, in the target's unit), "members" (which of the classes are in the
    set that is answered) or "value" (passed on, not understood)."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    role: str


@dataclass(frozen=True, slots=True)
class FileEntry:
    """SHA-256 in hexadecimal, and bytes, of one file of the bundle."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything a bundle says of itself. `classes` are in the order of the scores.

    Args:
        none_label: what rows of none of the classes are answered with; "" for a model that always names a class.
    """

    format_version: int
    task: str
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    classes: tuple[str, ...]
    space_id: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    data_id: str | None = None
    reference_data_id: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    files: dict[str, FileEntry] = field(default_factory=dict)
    none_label: str = ""

    @property
    def id(self) -> str:
        """The model's id: 128 bits of the SHA-256 of the canonical JSON."""
        return content_id("model", digest(self.document()))

    def document(self) -> dict[str, Any]:
        """The JSON value. What was not there in older formats is in it only where it says something."""
        whole: dict[str, Any] = encode(self)
        if not self.none_label:
            del whole["none_label"]
        return whole

    def output(self, role: str) -> OutputSpec | None:
        """The output with this role, or None."""
        return next((o for o in self.outputs if o.role == role), None)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the model reads, in the order of its inputs."""
        return tuple(c for spec in self.inputs for c in spec.columns)

    @staticmethod
    def read(path: Path) -> Manifest:
        """Read and check a manifest.

        Raises:
            NotFound: no such file.
            BackstayError: not a manifest, or one of a newer format.
        """
        try:
            document = json.loads(path.read_bytes())
        except FileNotFoundError as error:
            raise NotFound(f"there is no manifest {path}", fix="name the folder of a model bundle") from error
        except (OSError, ValueError) as error:
            raise _damaged(path, str(error)) from error
        return parse(document, path)


def format_for(inputs: tuple[InputSpec, ...], outputs: tuple[OutputSpec, ...] = ()) -> int:
    """The oldest format that can say this: a bundle is readable by every version that could run it."""
    return max([*(SINCE.get(spec.adapter, 1) for spec in inputs), *(SINCE.get(spec.role, 1) for spec in outputs)])


def parse(document: Any, where: Path) -> Manifest:
    """A manifest from its JSON value; unknown fields, wrong types and newer formats are refused."""
    if not isinstance(document, dict) or not isinstance(document.get("format_version"), int):
        raise _damaged(where, "it has no format_version")
    if document["format_version"] > FORMAT_VERSION:
        raise BackstayError(
            f"{where} has bundle format {document['format_version']}, this Backstay reads up to {FORMAT_VERSION}",
            fix="install a newer Backstay",
        )
    try:
        manifest = decode(Manifest, document)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise _damaged(where, str(error)) from error
    problem = _problem(manifest)
    if problem:
        raise _damaged(where, problem)
    return manifest


def _problem(manifest: Manifest) -> str:
    """The first thing that is wrong with it, or nothing."""
    if not manifest.inputs or not manifest.outputs:
        return "it names no inputs or no outputs"
    specs: list[InputSpec | OutputSpec] = [*manifest.inputs, *manifest.outputs]
    names: list[object] = [*(s.name for s in specs), *manifest.classes, manifest.none_label]
    if not all(isinstance(n, str) for n in names):
        return "a name is not text"
    for spec in specs:
        if not all(isinstance(size, int) for size in spec.shape):
            return f"the shape of {spec.name!r} is not made of whole numbers"
        try:
            numpy_dtype(spec.datatype)
        except BackstayError as error:
            return error.what
    unknown = {i.adapter for i in manifest.inputs} - set(ADAPTERS) | {o.role for o in manifest.outputs} - set(ROLES)
    if unknown:
        return f"it uses {sorted(unknown)[0]!r}, which is no adapter and no role"
    for spec in manifest.inputs:
        problem = _input_problem(spec, manifest)
        if problem:
            return problem
    for name, entry in manifest.files.items():
        if "/" in name or "\\" in name or name in ("", ".", ".."):
            return f"it names the file {name!r}, which is outside the bundle"
        hashed: list[object] = [entry.sha256, entry.size]
        if not (isinstance(hashed[0], str) and isinstance(hashed[1], int)):
            return f"the entry of {name!r} has no hash or no size"
    return ""


def _input_problem(spec: InputSpec, manifest: Manifest) -> str:
    if SINCE.get(spec.adapter, 1) > manifest.format_version:
        return f"the input {spec.name!r} uses {spec.adapter!r}, which format {manifest.format_version} does not have"
    if spec.adapter == "tokens" and (spec.datatype != "BYTES" or spec.shape != (-1, 1) or len(spec.columns) != 1):
        return f"the text input {spec.name!r} is not BYTES [rows, 1] of one column"
    if spec.adapter == "vector" and (
        spec.datatype not in FLOATS or len(spec.shape) != 2 or spec.shape[1] < 1 or len(spec.columns) != 1
    ):
        return f"the vector input {spec.name!r} is not floats [rows, length] of one column"
    return ""


def _damaged(where: Path, why: str) -> BackstayError:
    return BackstayError(f"{where} is not a sound manifest: {why}", fix="restore the bundle from a backup")
