"""Keys of the server: made, listed, revoked. The store holds hashes only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backstay.access.keys import KeyRecord, create_key
from backstay.kernel.errors import NotFound, nearest
from backstay.kernel.ids import event_id
from backstay.loop.workspace import Workspace


@dataclass(frozen=True)
class CreatedKey:
    """A fresh key. `token` is what the client sends; it cannot be shown again."""

    name: str
    token: str
    scopes: tuple[str, ...]
    expires_at: datetime | None


@dataclass(frozen=True)
class ListedKey:
    """A key as the store knows it."""

    name: str
    id: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    revoked: bool


def create(ws: Workspace, name: str, *, scopes: Sequence[str], days: float | None) -> CreatedKey:
    """Make a key, file its hash, and name its maker in the ledger."""
    expires = None if days is None else ws.clock.now() + timedelta(days=days)
    token, record = create_key(name, tuple(scopes), expires_at=expires)
    with ws.ledger.transaction() as tx:
        tx.put("key", record.id, record)
        tx.append("key_created", {"key": record.id, "name": name, "scopes": list(scopes)}, actor=ws.actor)
    return CreatedKey(name, token, tuple(scopes), expires)


def active(ws: Workspace) -> list[KeyRecord]:
    """Keys that were not revoked. Expiry is judged when a key is used."""
    revoked = {r.key_id for r in ws.catalog.find("key_revocation", Revocation)}
    return [k for k in ws.catalog.find("key", KeyRecord) if k.id not in revoked]


def listed(ws: Workspace) -> list[ListedKey]:
    """Every key ever made."""
    alive = {k.id for k in active(ws)}
    return [
        ListedKey(k.name, k.id, k.scopes, k.expires_at, k.id not in alive) for k in ws.catalog.find("key", KeyRecord)
    ]


@dataclass(frozen=True)
class Revocation:
    """That a key is worthless from now on."""

    key_id: str
    at: datetime


def revoke(ws: Workspace, name: str) -> list[ListedKey]:
    """Revoke every key of this name (or the one with this id). Servers refuse it within a second."""
    found = [k for k in active(ws) if name in (k.name, k.id)]
    if not found:
        raise NotFound(f"there is no live key {name!r}", fix=nearest(name, [k.name for k in active(ws)]))
    with ws.ledger.transaction() as tx:
        for record in found:
            tx.put("key_revocation", event_id("revocation"), Revocation(record.id, ws.clock.now()))
            tx.append("key_revoked", {"key": record.id, "name": record.name}, actor=ws.actor)
    return listed(ws)
