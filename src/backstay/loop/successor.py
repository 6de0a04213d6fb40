"""What `watch --act` has made for the live release already: of the same rows and settings the same model would come."""

from __future__ import annotations

from backstay.kernel.ids import digest
from backstay.kernel.records import LabelUse, Release
from backstay.loop.gating import Offered
from backstay.loop.workspace import Workspace


def waiting(ws: Workspace, release: Release) -> str | None:
    """What became of the challenger that was made last, where nothing that it was made or judged by is new since."""
    made = ws.catalog.get_state(_key(ws, release))
    if made is None or made["of"] != _of(ws, release):
        return None
    model, day = str(made["model"]), str(made["at"])[:10]
    if made["passed"]:
        return f"{model}, made on {day}, passed the gate and waits for `backstay promote`: no new label since"
    return (
        f"{model}, made on {day}, was refused by the gate ({made['why']}); no label is new since, so the same model "
        "would come out: give labels, or change what the project file says of training"
    )


def remember(ws: Workspace, release: Release, offered: Offered) -> None:
    """Keep what a challenger was made from, and tell that there is one; it did not become live by itself."""
    verdict = offered.verdict
    found = {
        "of": _of(ws, release),
        "model": offered.model.id,
        "at": verdict.created_at.isoformat(),
        "passed": verdict.passed,
        "why": "; ".join(verdict.reasons),
    }
    with ws.ledger.transaction() as tx:
        tx.set_state(_key(ws, release), found)
        body = {"release": release.id, "candidate": offered.model.id, "verdict": verdict.id}
        tx.append("challenger", {**body, "passed": verdict.passed, "why": found["why"]}, actor=ws.actor)


def _key(ws: Workspace, release: Release) -> str:
    return f"successor/{ws.name}/{ws.environment}/{release.id}"


def _of(ws: Workspace, release: Release) -> str:
    """A mark of the labels that a challenger is made and judged by, and of the settings that say how.

    Labels whose rows have left the log count: that a row is too old for it is nothing new to learn from.
    """
    labels = ws.catalog.labels(ws.name, ws.environment)
    used = sorted((one.prediction_id, one.use, one.value) for one in labels if one.use is not LabelUse.STANDING)
    settings = ws.settings
    how = [settings.train.model_dump(mode="json"), settings.labels.model_dump(mode="json"), settings.retrain.replay]
    return digest([release.model_id, used, how, settings.gate.digest])
