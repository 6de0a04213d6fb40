"""Ed25519 keys (RFC 8032) and DSSE envelopes: who stands behind some bytes.

The private key is a secret of the environment and is never stored, logged or shown again. A signature covers the
pre-authentication encoding of DSSE v1 (github.com/secure-systems-lab/dsse), so a payload of one type cannot be taken
for one of another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from backstay.kernel.errors import BackstayError, Tampered

SIGNING_VARIABLE = "BACKSTAY_SIGNING_KEY"
SCHEME = "ed25519:"
KEY_BYTES = 32
ENVELOPE_FIELDS = {"payload", "payloadType", "signatures"}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What a signature is checked against: 32 bytes, written "ed25519:BASE64"."""

    raw: bytes

    @staticmethod
    def parse(text: str) -> PublicKey:
        """The key that `str` wrote. Raises BackstayError for anything else."""
        raw = _bytes(text.removeprefix(SCHEME)) if text.startswith(SCHEME) else None
        if raw is None or len(raw) != KEY_BYTES:
            raise BackstayError(
                f"{text[:60]!r} is not a public key",
                fix=f"write {SCHEME}BASE64, as `backstay sign --new-key` prints it",
            )
        return PublicKey(raw)

    @property
    def id(self) -> str:
        """16 hexadecimal digits of its SHA-256: what files and ledger call it."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    def __str__(self) -> str:
        return SCHEME + base64.b64encode(self.raw).decode()

    def signed(self, signature: bytes, message: bytes) -> bool:
        """Whether this key's owner signed the message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A private key. It has no text form but the one that it was made with, and is left out of every message."""

    seed: bytes

    @staticmethod
    def parse(secret: str) -> SigningKey:
        """The key of this secret. Raises BackstayError, which does not repeat it."""
        seed = _bytes(secret.strip())
        if seed is None or len(seed) != KEY_BYTES:
            raise BackstayError(
                f"{SIGNING_VARIABLE} holds no signing key", fix="make one with `backstay sign --new-key`"
            )
        return SigningKey(seed)

    @property
    def public(self) -> PublicKey:
        return PublicKey(Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature; the same message gives the same ones."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)

    def __repr__(self) -> str:
        return f"SigningKey({self.public.id})"


def new_secret() -> str:
    """A fresh private key in base64, for a vault or an environment."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def key_of_environment() -> SigningKey | None:
    """The key that this process signs with, if it was given one."""
    secret = os.environ.get(SIGNING_VARIABLE)
    return SigningKey.parse(secret) if secret else None


def pre_authentication(kind: str, body: bytes) -> bytes:
    """What is signed: "DSSEv1", and type and body each after its length.

    >>> pre_authentication("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(body), body)


def seal(key: SigningKey, kind: str, body: bytes) -> bytes:
    """A DSSE envelope with one signature, as JSON."""
    signature = key.sign(pre_authentication(kind, body))
    document = {
        "payload": base64.b64encode(body).decode(),
        "payloadType": kind,
        "signatures": [{"keyid": key.public.id, "sig": base64.b64encode(signature).decode()}],
    }
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def unseal(envelope: bytes, kind: str, keys: Iterable[PublicKey], where: str) -> tuple[bytes, tuple[PublicKey, ...]]:
    """The body of an envelope, and which of these keys signed it.

    Raises:
        Tampered: it is no envelope of this kind, or names one of the keys beside a signature that is not that key's.
    """
    document = _document(envelope, where)
    if document["payloadType"] != kind:
        raise _broken(where, f"its payload is {str(document['payloadType'])[:60]!r}")
    body = _bytes(document["payload"])
    if body is None:
        raise _broken(where, "its payload is not base64")
    message, known = pre_authentication(kind, body), {key.id: key for key in keys}
    found: list[PublicKey] = []
    for entry in document["signatures"]:
        signature = _bytes(entry.get("sig")) if isinstance(entry, dict) else None
        if signature is None:
            raise _broken(where, "a signature is not base64")
        key = known.get(str(entry.get("keyid")))
        if key is None:
            continue
        if not key.signed(signature, message):
            raise _broken(where, f"the signature is not that of key {key.id}")
        found.append(key)
    return body, tuple(found)


def _document(envelope: bytes, where: str) -> dict[str, Any]:
    try:
        document = json.loads(envelope)
    except (ValueError, RecursionError) as error:
        raise _broken(where, "it is not JSON") from error
    if not isinstance(document, dict) or set(document) != ENVELOPE_FIELDS:
        raise _broken(where, f"its fields are not {', '.join(sorted(ENVELOPE_FIELDS))}")
    if not isinstance(document["signatures"], list) or not document["signatures"]:
        raise _broken(where, "it carries no signature")
    return document


def _bytes(text: object) -> bytes | None:
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _broken(where: str, why: str) -> Tampered:
    return Tampered(
        f"the signature {where} does not hold: {why}", fix="sign the bundle again, and find out who changed it"
    )
