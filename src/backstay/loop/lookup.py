"""Where a verb asks for "the latest": the newest verdict, report, finding or candidate."""

from __future__ import annotations

from datetime import datetime

from backstay.kernel.errors import NotFound
from backstay.kernel.records import ModelRecord, Verdict, WindowResult
from backstay.loop.workspace import Workspace

MOST_EXAMPLES = 12


def latest_candidate(ws: Workspace) -> ModelRecord:
    """The newest model that is not live and was offered to the gate."""
    champion = ws.catalog.champion(ws.name, ws.environment)
    for verdict in ws.catalog.find("verdict", Verdict, **ws.scope, newest_first=True):
        if champion is None or verdict.candidate != champion.model_id:
            return ws.model_record(verdict.candidate)
    raise NotFound(
        "there is no candidate to promote",
        fix="train one with `backstay run` or `backstay retrain`, or adopt a successor",
    )


def latest_verdict(ws: Workspace, candidate: str) -> Verdict:
    """The newest verdict on this model."""
    for verdict in ws.catalog.find("verdict", Verdict, **ws.scope, newest_first=True):
        if verdict.candidate == candidate:
            return verdict
    raise NotFound(
        f"model {candidate} has not been through the gate", fix="offer it with `backstay adopt --challenger`"
    )


def window_results(ws: Workspace, release_id: str | None = None) -> list[WindowResult]:
    """Every window watched so far, oldest first."""
    found = ws.catalog.find("window", WindowResult, **ws.scope)
    return [w for w in found if release_id in (None, w.release_id)]


def newest_window(ws: Workspace) -> WindowResult | None:
    """The window that was judged last, of whichever release."""
    found = ws.catalog.find("window", WindowResult, **ws.scope, newest_first=True, limit=1)
    return found[0] if found else None


def judged_until(ws: Workspace, release_id: str) -> datetime | None:
    """The end of the last window of a release that was watched; None before the first."""
    state = ws.catalog.get_state(f"watch/{ws.name}/{ws.environment}/{release_id}")
    end = None if state is None else state["last_end"]
    return None if end is None else datetime.fromisoformat(end)


def example_ids(result: WindowResult) -> set[str]:
    """Prediction ids that a window's page shows."""
    cells = () if result.located is None else result.located.cells
    of_cells = (i for cell in cells if cell.grew for i in cell.example_ids)
    return {*(i for s in result.signals for i in s.example_ids[:MOST_EXAMPLES]), *of_cells}
