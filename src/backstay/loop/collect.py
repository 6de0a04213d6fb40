"""Remove what nothing names any more, and what is older than the project file wants it kept."""

from __future__ import annotations

from backstay.kernel.records import Json
from backstay.loop.retention import expire
from backstay.loop.workspace import Workspace
from backstay.store.gc import collect as sweep


def collect(ws: Workspace, *, dry_run: bool) -> Json:
    """Blobs and bundles that no record names go; the log is compacted, and rows that are too old leave it."""
    compacted = 0 if dry_run else ws.journal.compact(ws.manifests_of_all())
    expired = expire(ws, dry_run=dry_run)
    removed = sweep(ws.state, ws.clock, dry_run=dry_run)
    if not dry_run:
        with ws.ledger.transaction() as tx:
            tx.append("gc", {"removed": removed.ids, "bytes": removed.bytes, "compacted": compacted}, actor=ws.actor)
    return {
        "removed": removed.ids,
        "bytes": removed.bytes,
        "compacted_segments": compacted,
        "expired": expired.to_json(),
        "dry_run": dry_run,
    }
