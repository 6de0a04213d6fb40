"""What follows from a look: whether a new model pays, and making it where the project file allows that."""

from __future__ import annotations

from datetime import datetime

from backstay.kernel.errors import Refused
from backstay.kernel.records import Decision, LabelUse, ModelRecord, Release, WindowResult
from backstay.loop.gating import Offered
from backstay.loop.label import request, still_logged
from backstay.loop.lookup import window_results
from backstay.loop.promote import promote
from backstay.loop.retention import expire
from backstay.loop.retrain import retrain
from backstay.loop.shadow import shadow_gain
from backstay.loop.successor import remember, waiting
from backstay.loop.workspace import Workspace
from backstay.monitor.triggers import Gain, decide_retrain

# What each trigger has found out when it asks for a new model: whether that pays only the first one knows.
WHY = {
    "value": "retraining pays",
    "threshold": 'retraining is asked for by a fall (retrain.trigger = "threshold")',
    "shift": 'retraining is asked for by what moved (retrain.trigger = "shift")',
    "calendar": 'retraining is due (retrain.trigger = "calendar")',
}


def decide(ws: Workspace, history: list[WindowResult], release: Release) -> tuple[Decision | None, list[str]]:
    """What the trigger says, and notes on what it could not know."""
    if not history:
        return None, []
    # Trusted ones only: nobody who posts feedback makes retraining look cheap.
    at_hand = sum(
        1
        for label in still_logged(ws, ws.catalog.labels(ws.name, ws.environment, use="train"))
        if label.trusted and label.at >= release.created_at
    )
    gain, why = _gain(ws, release, history[-1]) if ws.settings.retrain.shadow else (None, "")
    decision = decide_retrain(
        history,
        ws.settings.retrain,
        now=ws.clock.now(),
        former=[result for result in window_results(ws) if result.release_id != release.id],
        last_retrained=release.created_at if release.kind.value == "promoted" else None,
        live_since=release.created_at,
        trained=_trained(ws),
        gain=gain,
        labels_at_hand=at_hand,
    )
    return decision, [why] if why else []


def _gain(ws: Workspace, release: Release, newest: WindowResult) -> tuple[Gain | None, str]:
    """What a shadow gains, asked once a window: a bound that is looked at with every run would be looked at too often.
    As long as there are too few labels for a shadow, it is asked again."""
    key = f"shadow/{ws.name}/{ws.environment}/{release.id}"
    before = ws.catalog.get_state(key)
    if before is not None and before["window"] == newest.id:
        return Gain(**before["gain"]), ""
    gain, why = shadow_gain(ws, release)
    if gain is not None:
        with ws.ledger.transaction() as tx:
            tx.set_state(key, {"window": newest.id, "gain": gain._asdict()})
    return gain, why


def _trained(ws: Workspace) -> list[datetime]:
    """When successors of a live model were trained here."""
    records = ws.catalog.find("model", ModelRecord, **ws.scope)
    return [record.created_at for record in records if record.origin == "trained" and record.parent is not None]


def carry_out(
    ws: Workspace, decision: Decision | None, release: Release, *, dry_run: bool = False
) -> tuple[Offered | None, Release | None, list[str]]:
    """Retrain when it pays; promote by ourselves only where the project file says so. A refusal is no error here."""
    if decision is None or not decision.retrain:
        return None, None, []
    if not ws.settings.retrain.from_log:
        why = WHY[ws.settings.retrain.trigger]
        said = f"{why}; the model is made elsewhere (retrain.from_log): offer it with `backstay adopt --challenger`"
        return None, None, [said]
    made = waiting(ws, release)
    if made is not None:
        return None, None, [made]
    missing = labels_missing(ws, release)
    if dry_run:
        asked = f"ask for {missing} labels, then " if missing else ""
        promoted = "promote what passes the gate" if ws.settings.retrain.auto_promote else "promote nothing"
        return None, None, [f"--act would {asked}train a challenger, offer it to the gate, and {promoted}"]
    if missing:
        return None, None, [_ask_for_training(ws, missing)]
    offered = retrain(ws)
    if not (offered.verdict.passed and ws.settings.retrain.auto_promote):
        remember(ws, release, offered)
        return offered, None, []
    try:
        return offered, promote(ws, offered.model.id, reason=decision.headline), []
    except Refused as refusal:
        remember(ws, release, offered)
        return offered, None, [str(refusal)]


def tidy(ws: Workspace) -> list[str]:
    """Sort the log by day and let go what is older than the project file says."""
    ws.journal.compact(ws.manifests_of_all())
    expired = expire(ws)
    return [f"{expired.rows} rows from before {expired.before} have left the log"] if expired.rows else []


def labels_missing(ws: Workspace, release: Release) -> int:
    """How many labels for training and gate are still wanted, counting trusted ones of this release's time."""
    there = sum(
        1
        for label in still_logged(ws, ws.catalog.labels(ws.name, ws.environment))
        if label.trusted and label.use is not LabelUse.STANDING and label.at >= release.created_at
    )
    return max(ws.settings.retrain.labels - there, 0)


def _ask_for_training(ws: Workspace, missing: int) -> str:
    """Queue rows to learn from; what is queued already is not asked for again."""
    waiting = ws.catalog.requests(ws.name, ws.environment, status="open")
    asked = sum(1 for r in waiting if r.purpose == "retrain")
    if missing > asked:
        request(ws, missing - asked, purpose="retrain")
    why = WHY[ws.settings.retrain.trigger]
    return f"{why}; it waits for {missing} labels: see the review queue, `backstay label --export FILE`"
