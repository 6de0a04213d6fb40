"""Remove what nothing names any more."""

from __future__ import annotations

from backstay.kernel.records import Json
from backstay.loop.workspace import Workspace
from backstay.store.gc import collect as sweep


def collect(ws: Workspace, *, dry_run: bool) -> Json:
    """Blobs and bundles that no release, verdict, report or data version names; log segments become Parquet."""
    compacted = 0 if dry_run else ws.journal.compact(ws.manifests_of_all())
    removed = sweep(ws.state, ws.clock, dry_run=dry_run)
    if not dry_run:
        with ws.ledger.transaction() as tx:
            tx.append("gc", {"removed": removed.ids, "bytes": removed.bytes, "compacted": compacted}, actor=ws.actor)
    return {"removed": removed.ids, "bytes": removed.bytes, "compacted_segments": compacted, "dry_run": dry_run}
