"""A model that is live already becomes a release, marked as unmeasured."""

from __future__ import annotations

from backstay.kernel.clock import Clock
from backstay.kernel.errors import Refused
from backstay.kernel.ids import event_id
from backstay.kernel.ports import Ledger
from backstay.kernel.records import Release, ReleaseKind


def adopt(
    ledger: Ledger,
    *,
    model: str,
    environment: str,
    model_id: str,
    reference_id: str,
    actor: str,
    reason: str,
    clock: Clock,
) -> Release:
    """Take over a live model as release 1. One that follows another goes through the gate instead: Refused."""
    with ledger.transaction() as tx:
        champion = tx.champion(model, environment)
        if champion is None:
            release = Release(
                id=event_id("release"),
                sequence=1,
                model=model,
                environment=environment,
                model_id=model_id,
                kind=ReleaseKind.ADOPTED,
                measured=False,
                actor=actor,
                reason=reason,
                created_at=clock.now(),
                reference_id=reference_id,
            )
            body = {"candidate": model_id, "reference": reference_id, "measured": False, "reason": reason}
            tx.add_release(release, actor=actor, kind="adopted", body=body)
            return release
    raise _follows(champion)


def refuse_successor(champion: Release | None) -> None:
    """Raises Refused where something is live already. Asked before any work is done, and again at the commit."""
    if champion is not None:
        raise _follows(champion)


def _follows(champion: Release) -> Refused:
    return Refused(
        f"model {champion.model!r} has release {champion.sequence} in {champion.environment!r} already",
        fix="offer the new one to the gate with `backstay adopt --challenger`",
    )
