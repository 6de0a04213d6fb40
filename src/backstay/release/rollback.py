"""Back to a former release: needs an actor and a reason, never a current verdict."""

from __future__ import annotations

from backstay.kernel.clock import Clock
from backstay.kernel.errors import BackstayError, NotFound, Refused
from backstay.kernel.ids import event_id
from backstay.kernel.ports import Catalog, Ledger, Transaction
from backstay.kernel.records import Release, ReleaseKind
from backstay.release.promote import Unfit


def rollback(
    ledger: Ledger,
    catalog: Catalog,
    *,
    model: str,
    environment: str,
    to: str | None,
    actor: str,
    reason: str,
    clock: Clock,
    unfit: Unfit = lambda _: None,
) -> Release:
    """Make the model of a former release live again, with the reference that it was watched against.

    Args:
        to: a former release's id; None for the newest one of another model than the one that is live.
        unfit: what speaks against a model by its id, or None.

    Raises:
        BackstayError: no reason was given, or that release is live already.
        NotFound: there is no such former release.
        Refused: its model is unfit. A row of the ledger says who tried and why not.
    """
    if not reason.strip():
        raise BackstayError("a rollback needs a reason", fix="say why with --reason")
    former = {r.id: r for r in catalog.releases(model, environment)}
    with ledger.transaction() as tx:
        champion = tx.champion(model, environment)
        if champion is None:
            raise NotFound(f"model {model!r} has no release in {environment!r}", fix="adopt or promote one first")
        target = _target(former, champion, to)
        objection = unfit(target.model_id)
        if objection is None:
            return _commit(tx, champion, target, actor, reason, clock)
        what, fix = objection
        refused = {
            "model": champion.model,
            "environment": champion.environment,
            "candidate": target.model_id,
            "to": target.id,
            "previous": champion.id,
            "why": what,
            "reason": reason,
        }
        tx.append("rollback_refused", refused, actor=actor)
    # Raised after the refusal has been committed, so that the attempt is on record.
    raise Refused(what, fix=fix)


def _commit(tx: Transaction, champion: Release, target: Release, actor: str, reason: str, clock: Clock) -> Release:
    release = Release(
        id=event_id("release"),
        sequence=champion.sequence + 1,
        model=champion.model,
        environment=champion.environment,
        model_id=target.model_id,
        kind=ReleaseKind.ROLLBACK,
        measured=target.measured,
        actor=actor,
        reason=reason,
        created_at=clock.now(),
        reference_id=target.reference_id,
        verdict_id=target.verdict_id,
        previous=champion.id,
    )
    body = {
        "candidate": target.model_id,
        "to": target.id,
        "verdict": target.verdict_id,
        "previous": champion.id,
        "reference": target.reference_id,
        "reason": reason,
    }
    tx.add_release(release, actor=actor, kind="rollback", body=body)
    return release


def _target(former: dict[str, Release], champion: Release, to: str | None) -> Release:
    if to is not None:
        if to not in former:
            raise NotFound(f"there is no release {to!r} of this model", fix="see `backstay history`")
        if former[to].model_id == champion.model_id:
            raise BackstayError(
                f"the model of release {former[to].sequence} is live already", fix="name another release"
            )
        return former[to]
    others = [r for r in former.values() if r.model_id != champion.model_id]
    if not others:
        raise NotFound(
            "no other model was ever live, so there is nothing to go back to", fix="promote a successor instead"
        )
    return max(others, key=lambda r: r.sequence)
