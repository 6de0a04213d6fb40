"""The whole promotion: verdict, actor, hashes, previous release and live pointer commit together or not at all."""

from __future__ import annotations

from collections.abc import Callable

from backstay.kernel.clock import Clock
from backstay.kernel.errors import Refused
from backstay.kernel.ids import event_id
from backstay.kernel.ports import Ledger, Transaction
from backstay.kernel.records import Release, ReleaseKind, Verdict

Objection = tuple[str, str]
"""What speaks against it, and what to do."""
Unfit = Callable[[str], Objection | None]


def promote(
    ledger: Ledger,
    *,
    verdict_id: str,
    actor: str,
    reason: str,
    policy_digest_now: str,
    reference_id: str | None,
    clock: Clock,
    unfit: Unfit = lambda _: None,
) -> Release:
    """Make the verdict's candidate live.

    Args:
        unfit: what else speaks against a model by its id (a signature that is asked for and missing), or None.

    Raises:
        Refused: the verdict did not pass, was reached under another policy, or was measured against a model that is
            no longer champion; or the model is unfit. A row of the ledger says who tried and why not.
        NotFound: there is no such verdict.
    """
    with ledger.transaction() as tx:
        verdict = tx.get("verdict", verdict_id, Verdict)
        champion = tx.champion(verdict.model, verdict.environment)
        objection = _objection(verdict, champion, policy_digest_now) or unfit(verdict.candidate)
        if objection is None:
            return _commit(tx, verdict, champion, actor, reason, reference_id, clock)
        what, fix = objection
        tx.append(
            "promotion_refused",
            {
                "candidate": verdict.candidate,
                "verdict": verdict.id,
                "policy": verdict.policy_digest,
                "data": verdict.data_id,
                "report": verdict.report_id,
                "champion": None if champion is None else champion.model_id,
                "previous": None if champion is None else champion.id,
                "why": what,
                "reason": reason,
            },
            actor=actor,
        )
    # Raised after the refusal has been committed, so that the attempt is on record.
    raise Refused(what, fix=fix)


def _objection(verdict: Verdict, champion: Release | None, policy_digest: str) -> Objection | None:
    # The outcomes are read too, so that a verdict whose one word was changed still promotes nothing.
    if not verdict.passed or not verdict.outcomes or verdict.reasons:
        reasons = "; ".join(verdict.reasons) or "it gave no reason"
        return f"the gate refused {verdict.candidate}: {reasons}", "offer a better candidate"
    if verdict.policy_digest != policy_digest:
        return (
            f"the verdict on {verdict.candidate} was reached under policy {verdict.policy_digest[:12]}, "
            f"now {policy_digest[:12]} is in force",
            "offer the candidate to the gate again",
        )
    live = None if champion is None else champion.model_id
    if live == verdict.candidate:
        return f"{verdict.candidate} is live already", "there is nothing to do"
    if verdict.champion != live:
        return (
            f"{verdict.candidate} was measured against {verdict.champion or 'nothing'}, "
            f"but {live or 'nothing'} is live",
            "offer the candidate to the gate again: somebody else was first",
        )
    return None


def _commit(
    tx: Transaction,
    verdict: Verdict,
    champion: Release | None,
    actor: str,
    reason: str,
    reference_id: str | None,
    clock: Clock,
) -> Release:
    release = Release(
        id=event_id("release"),
        sequence=1 if champion is None else champion.sequence + 1,
        model=verdict.model,
        environment=verdict.environment,
        model_id=verdict.candidate,
        kind=ReleaseKind.PROMOTED,
        measured=True,
        actor=actor,
        reason=reason,
        created_at=clock.now(),
        reference_id=reference_id,
        verdict_id=verdict.id,
        previous=None if champion is None else champion.id,
    )
    tx.add_release(
        release,
        actor=actor,
        kind="promoted",
        body={
            "candidate": verdict.candidate,
            "verdict": verdict.id,
            "policy": verdict.policy_digest,
            "data": verdict.data_id,
            "report": verdict.report_id,
            "reference": reference_id,
            "previous": release.previous,
            "reason": reason,
        },
    )
    return release
