"""Write a bundle whole or not at all: temporary folder, fsync, rename to its id."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from backstay.bundle.manifest import FileEntry, Manifest
from backstay.kernel.disk import synchronise, write_synchronised
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import canonical_json

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"


def write_bundle(
    directory: Path, onnx_bytes: bytes, draft: Manifest, *, files: Mapping[str, bytes] | None = None
) -> str:
    """Write `directory/<id>` and answer the id; a bundle that is there already is left as it is.

    Args:
        draft: the manifest without its `files`, which are filled in here.
        files: further files of the bundle by name (a tokenizer).
    """
    content = {**(files or {}), MODEL_FILE: onnx_bytes}
    entries = {name: FileEntry(hashlib.sha256(data).hexdigest(), len(data)) for name, data in sorted(content.items())}
    manifest = replace(draft, files=entries)
    model_id = manifest.id
    target = directory / model_id
    fresh = directory / f".{model_id}.{os.getpid()}.tmp"
    try:
        if (target / MANIFEST_FILE).is_file():
            return model_id
        fresh.mkdir(parents=True, exist_ok=True)
        for name, data in {**content, MANIFEST_FILE: canonical_json(manifest.document())}.items():
            write_synchronised(fresh / name, data)
        synchronise(fresh)
        try:
            fresh.rename(target)
        except OSError:
            # Somebody else was first with the same content; anything else is a real failure.
            if not (target / MANIFEST_FILE).is_file():
                raise
        synchronise(directory)
    except OSError as error:
        raise BackstayError(
            f"the bundle could not be written to {directory} ({error.strerror or error})",
            fix="make room or correct the folder's permissions; nothing was kept",
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return model_id
