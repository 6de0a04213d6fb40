"""Who stands behind a bundle: an in-toto statement over every file, signed, kept beside the manifest.

Signatures are outside the hash that names the bundle, so several people may sign one model, now or later.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from backstay.access.signing import PublicKey, SigningKey, seal, unseal
from backstay.bundle.manifest import Manifest
from backstay.bundle.write import MANIFEST_FILE
from backstay.kernel.disk import write_synchronised
from backstay.kernel.errors import BackstayError, Tampered
from backstay.kernel.ids import canonical_json

FOLDER = "signatures"
ENDING = ".dsse.json"
PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:backstay:model-bundle:v1"
MOST_BYTES = 2**20


def sign_bundle(directory: Path, key: SigningKey) -> Path:
    """Sign the bundle in this folder as it is now; signing again replaces one's own signature.

    Raises:
        Tampered: a file does not hash to what the manifest says, or the folder is named for another bundle: nobody
            should stand behind that.
    """
    manifest = _manifest(directory)
    for name, entry in manifest.files.items():
        if _sha256(directory / name) != entry.sha256:
            raise Tampered(f"{directory / name} is not the file that the manifest names", fix="restore the bundle")
    envelope = seal(key, PAYLOAD, canonical_json(_statement(directory, manifest)))
    target = directory / FOLDER / f"{key.public.id}{ENDING}"
    fresh = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(exist_ok=True)
        write_synchronised(fresh, envelope)
        fresh.replace(target)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise BackstayError(
            f"the signature could not be written to {target.parent} ({error.strerror})",
            fix="make room or correct the folder's permissions; the bundle is as it was",
        ) from error
    return target


def signers(directory: Path, trusted: Sequence[PublicKey]) -> tuple[PublicKey, ...]:
    """Which of the trusted keys have signed exactly the bundle that lies here.

    Raises:
        Tampered: a trusted key's signature is broken, or was given for other bytes than these. It is never passed over:
            a bundle that was changed after it was signed is worse than one that nobody signed.
    """
    manifest, known = _manifest(directory), {key.id for key in trusted}
    found: list[PublicKey] = []
    for path in sorted((directory / FOLDER).glob(f"*{ENDING}")):
        try:
            body, keys = unseal(_envelope(path), PAYLOAD, trusted, str(path))
        except Tampered:
            if path.name.removesuffix(ENDING) in known:
                raise
            continue
        if keys and body != canonical_json(_statement(directory, manifest)):
            raise Tampered(
                f"the signature {path} was given for another bundle than the one beside it",
                fix="restore the bundle from a backup, and find out who changed it",
            )
        found += keys
    return tuple(dict.fromkeys(found))


def _manifest(directory: Path) -> Manifest:
    """The manifest of the bundle that this folder is named for: none is signed or trusted in the place of another."""
    manifest = Manifest.read(directory / MANIFEST_FILE)
    if directory.name.startswith("model-") and manifest.id != directory.name:
        raise Tampered(
            f"the folder {directory} holds another bundle, {manifest.id}",
            fix="restore the bundle from a backup, and find out who changed it",
        )
    return manifest


def _statement(directory: Path, manifest: Manifest) -> dict[str, Any]:
    """The in-toto Statement v1 of the files as they are now."""
    names = sorted({MANIFEST_FILE, *manifest.files})
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": _sha256(directory / name)}} for name in names],
        "predicateType": PREDICATE,
        "predicate": {"model": manifest.id, "data": manifest.data_id, "formatVersion": manifest.format_version},
    }


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise Tampered(f"{path} cannot be read ({error.strerror})", fix="restore the bundle from a backup") from error


def _envelope(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Tampered(f"the signature {path} is larger than any", fix="delete it and sign the bundle again")
        return path.read_bytes()
    except OSError as error:
        raise Tampered(
            f"the signature {path} cannot be read ({error.strerror})", fix="sign the bundle again"
        ) from error


def subjects(envelope: bytes) -> dict[str, str]:
    """File names and SHA-256 that an envelope speaks of, whoever signed it: for people and for tools of others."""
    body, _ = unseal(envelope, PAYLOAD, (), "of this bundle")
    return {s["name"]: s["digest"]["sha256"] for s in json.loads(body)["subject"]}
