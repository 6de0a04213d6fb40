"""Models that a new one is made from: the teacher whose space it is to share, the one whose weights it goes on from."""

from __future__ import annotations

from backstay.bundle.model import Model
from backstay.loop.workspace import Workspace

CHAMPION = "champion"


def teacher_of(ws: Workspace) -> Model | None:
    """The teacher that the recipe names, None where its objective has none.

    Raises:
        NotFound: nothing is live, or the project has no such model.
        BackstayError: of the teacher only predictions are known.
    """
    if ws.settings.train.objective != "distil":
        return None
    return ws.load_model(ws.model_record(_id_of(ws, str(ws.settings.train.objective_options.get("teacher", CHAMPION)))))


def start_of(ws: Workspace) -> Model | None:
    """The model whose encoder the recipe goes on from; None where it begins anew, as for the first of all."""
    named = ws.settings.train.start_from
    if not named or (named == CHAMPION and ws.catalog.champion(ws.name, ws.environment) is None):
        return None
    return ws.load_model(ws.model_record(_id_of(ws, named)))


def _id_of(ws: Workspace, named: str) -> str:
    return ws.champion().model_id if named == CHAMPION else named
