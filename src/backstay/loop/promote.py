"""Make a candidate live, or go back."""

from __future__ import annotations

from functools import partial

from backstay.kernel.records import Release, Verdict
from backstay.loop.log_policy import refuse_blind_release
from backstay.loop.lookup import latest_candidate, latest_verdict
from backstay.loop.sign import objection
from backstay.loop.workspace import Workspace
from backstay.release.promote import promote as commit
from backstay.release.rollback import rollback


def promote(ws: Workspace, candidate: str | None = None, *, reason: str = "") -> Release:
    """Promote a candidate on its newest verdict. Raises Refused, with a row in the ledger, when it may not."""
    model_id = latest_candidate(ws).id if candidate is None else ws.catalog.resolve("model", candidate)
    refuse_blind_release(ws, ws.model_record(model_id))
    verdict = latest_verdict(ws, model_id)
    return commit(
        ws.ledger,
        verdict_id=verdict.id,
        actor=ws.actor,
        reason=reason or "the gate passed",
        policy_digest_now=ws.settings.gate.digest,
        reference_id=_reference_of(ws, verdict),
        clock=ws.clock,
        unfit=partial(objection, ws),
    )


def _reference_of(ws: Workspace, verdict: Verdict) -> str:
    """What the detectors start from: the candidate's own reference, else the rows that it was measured on."""
    return ws.model_record(verdict.candidate).reference_id or verdict.data_id


def roll_back(ws: Workspace, to: str | None, *, reason: str) -> Release:
    """Make a former release's model live again. `to`: its number, as `backstay history` has it, or its id."""
    former = {str(r.sequence): r.id for r in ws.catalog.releases(ws.name, ws.environment)}
    release_id = None if to is None else former.get(to) or ws.catalog.resolve("release", to)
    return rollback(
        ws.ledger,
        ws.catalog,
        **ws.scope,
        to=release_id,
        actor=ws.actor,
        reason=reason,
        clock=ws.clock,
        unfit=partial(objection, ws),
    )
