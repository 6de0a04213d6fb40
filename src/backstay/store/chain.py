"""The hash chain of the ledger: how a row is hashed, and how edits, deletions and reorderings are named."""

from __future__ import annotations

from collections.abc import Iterable

from backstay.kernel.codec import encode
from backstay.kernel.ids import digest
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
            gap = f"rows {previous_seq + 1} to {row.seq - 1}" if row.seq > previous_seq + 2 else f"row {previous_seq + 1}"
            found.append(f"ledger: {gap} deleted")
        elif row.prev != previous_hash:
            found.append(f"ledger: row {row.seq} does not follow row {previous_seq}: reordered or replaced")
        if row_hash(row) != row.hash:
            found.append(f"ledger: row {row.seq} ({row.kind}) was edited")
        if expected_head is not None and row.seq == expected_head[0]:
            head_seen = row.hash == expected_head[1]
            if not head_seen:
                found.append(f"ledger: row {row.seq} is not the row whose head was exported: history was rewritten")
                head_seen = True
        previous_hash, previous_seq = row.hash, row.seq
    if not head_seen and expected_head is not None:
        found.append(
            f"ledger: it ends at row {previous_seq}, the exported head names row {expected_head[0]}: truncated"
        )
    return found
