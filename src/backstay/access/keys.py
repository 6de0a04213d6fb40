"""Keys of the server: `bsk_ID.SECRET`. Only a hash of the secret is stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from backstay.kernel.errors import BackstayError, nearest

PREFIX = "bsk_"
SCOPES = ("predict", "feedback", "read", "search", "admin")


class Unauthenticated(BackstayError):
    """No key, a wrong one, or an expired one: HTTP 401."""


class Forbidden(BackstayError):
    """A good key that may not do this: HTTP 403."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as stored. `hash` is SHA-256 of the secret, which has 256 bits of its own, so it needs no salt."""

    id: str
    name: str
    hash: str
    scopes: tuple[str, ...]
    expires_at: datetime | None = None

    @property
    def source(self) -> str:
        """What feedback that comes with this key is filed under."""
        return f"key:{self.name}"


def create_key(name: str, scopes: tuple[str, ...], *, expires_at: datetime | None = None) -> tuple[str, KeyRecord]:
    """A fresh token and what is stored of it. Raises BackstayError for an unknown scope or an empty name."""
    if not name.strip():
        raise BackstayError("a key needs a name", fix="say who will use it")
    for scope in scopes:
        if scope not in SCOPES:
            raise BackstayError(f"{scope!r} is not a scope", fix=nearest(scope, SCOPES))
    if not scopes:
        raise BackstayError("a key without scopes may do nothing", fix=f"choose of {', '.join(SCOPES)}")
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    return f"{PREFIX}{key_id}.{secret}", KeyRecord(key_id, name, _hash(secret), tuple(scopes), expires_at)


def verify(token: str | None, records: Iterable[KeyRecord], now: datetime, scope: str, *others: str) -> KeyRecord:
    """The key behind a token, if it is good and has one of these scopes.

    Raises:
        Unauthenticated: missing, malformed, unknown, wrong or expired; which of these is not told.
        Forbidden: the key is good, but has none of the scopes. It is told what the key may do.
    """
    key_id, _, secret = (token or "").removeprefix(PREFIX).partition(".")
    offered = _hash(secret)
    found = None
    for record in records:
        # Every record is compared, in constant time, so that timing tells nothing of which ids there are.
        same = hmac.compare_digest(record.id.encode(), key_id.encode()) & hmac.compare_digest(record.hash, offered)
        found = record if same else found
    if found is None or (found.expires_at is not None and found.expires_at <= now):
        raise Unauthenticated("the key is missing, wrong or expired", fix="send `Authorization: Bearer bsk_...`")
    if not {"admin", scope, *others}.intersection(found.scopes):
        raise Forbidden(
            f"the key {found.name!r} may {' and '.join(found.scopes)}, and here a key is wanted that may "
            f"{' or '.join((scope, *others))}",
            fix=f"make one with `backstay key create NAME --scope {scope}`",
        )
    return found


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
