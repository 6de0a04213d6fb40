"""The hash chain of the ledger: how a row is hashed, and how edits, deletions and reorderings are named."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from backstay.kernel.codec import encode
from backstay.kernel.ids import canonical_json, digest
from backstay.kernel.records import LedgerRow

GENESIS = "0" * 64


def row_hash(row: LedgerRow) -> str:
    """SHA-256 over every other field of the row, `prev` included."""
    body = encode(row)
    del body["hash"]
    return digest(body)


def problems(rows: Iterable[LedgerRow], expected_head: tuple[int, str] | None = None) -> list[str]:
    """Sentences that name what was changed; empty when the chain is sound.

    A chain alone cannot show that its end was cut off, or that all of it was written anew by somebody who has the
    file: for that, `expected_head` is a head that was exported earlier and kept elsewhere.
    """
    found: list[str] = []
    previous_hash, previous_seq = GENESIS, 0
    head_seen = expected_head is None or expected_head == (0, GENESIS)
    for row in rows:
        if row.seq != previous_seq + 1:
            first, last = previous_seq + 1, row.seq - 1
            found.append(f"ledger: {f'row {first}' if first == last else f'rows {first} to {last}'} deleted")
        elif row.prev != previous_hash:
            found.append(f"ledger: row {row.seq} does not follow row {previous_seq}: reordered or replaced")
        if row_hash(row) != row.hash:
            found.append(f"ledger: row {row.seq} ({row.kind}) was edited")
        if expected_head is not None and row.seq == expected_head[0]:
            head_seen = True
            if row.hash != expected_head[1]:
                found.append(f"ledger: row {row.seq} is not the row whose head was exported: history was rewritten")
        previous_hash, previous_seq = row.hash, row.seq
    if expected_head is not None and not head_seen and previous_seq < expected_head[0]:
        found.append(
            f"ledger: it ends at row {previous_seq}, the exported head names row {expected_head[0]}: truncated"
        )
    return found


def release_problems(rows: Sequence[LedgerRow], filed: Sequence[Mapping[Any, Any]]) -> list[str]:
    """Sentences that name releases which are not what their ledger rows say, or for which there is only one of both.

    Args:
        filed: rows of the table of releases; its columns are compared too, for it is they that decide who is live.
    """
    found: list[str] = []
    by_seq = {row.seq: row for row in rows}
    for release in filed:
        row = by_seq.get(release["ledger_seq"])
        told = None if row is None else row.body.get("record")
        if not isinstance(told, dict) or not _same(release, told):
            found.append(f"releases: {release['id']} is not what row {release['ledger_seq']} of the ledger says")
    listed = {release["id"] for release in filed}
    for row in rows:
        told = row.body.get("record")
        if isinstance(told, dict) and told.get("id") not in listed:
            found.append(f"releases: {told.get('id')}, which row {row.seq} of the ledger made, is missing")
    return found


def _same(release: Mapping[Any, Any], told: Mapping[str, Any]) -> bool:
    columns = ("id", "model", "environment", "sequence")
    return canonical_json(told) == canonical_json(json.loads(release["body"])) and all(
        release[name] == told.get(name) for name in columns
    )
