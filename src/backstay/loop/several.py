"""A round over several models: each is watched, and one that fails stops no other. Their pages and figures go together.

The pages lie in one folder, `MODEL@ENVIRONMENT.html` each, with an index; the figures in one file for Prometheus.
Which models there are is found out anew for every round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from backstay.kernel.errors import BackstayError, NotFound
from backstay.kernel.faults import told
from backstay.kernel.records import WindowResult
from backstay.loop.lookup import newest_window
from backstay.loop.watch import Watched, watch
from backstay.loop.whole_file import write_whole
from backstay.loop.workspace import Workspace
from backstay.render.models_page import Row, models_page
from backstay.serve.metrics import watch_text

INDEX = "index.html"


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of one model, or why nothing was: one of the two is None. `newest`: its last window, if known."""

    model: str
    environment: str
    watched: Watched | None = None
    error: BackstayError | None = None
    newest: WindowResult | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A live model, or one that cannot be opened: one of the two is None."""

    model: str
    environment: str
    workspace: Workspace | None = None
    error: BackstayError | None = None


def look_at_each(
    models: Sequence[Workspace | Look],
    tell: Callable[[Look], None],
    *,
    close_now: bool = False,
    act: bool = False,
    dry_run: bool = False,
    pages: Path | None = None,
    metrics: Path | None = None,
) -> list[Look]:
    """Watch them one after the other; each is told as soon as it is known, whatever became of those before.

    Args:
        models: in the place of one that cannot even be opened, the look that tells why.
        pages: folder of their pages. metrics: file of their newest windows' figures.

    Raises:
        BackstayError: index or figures cannot be written; every model has been watched by then.
    """
    done: list[Look] = []
    for one in models:
        if isinstance(one, Look):
            look = one
        else:
            look = _look(one, close_now, act, dry_run, None if pages is None else pages / page_name(one))
        tell(look)
        done.append(look)
    if pages is not None:
        rows = [_row(look, pages / page_name(look)) for look in done]
        write_whole(pages / INDEX, models_page(rows), fix="name another folder with --page")
    windows = [look.newest for look in done if look.newest is not None]
    if metrics is not None and windows:
        write_whole(metrics, watch_text(*windows).decode(), fix="name another place with --metrics")
    return done


def page_name(of: Workspace | Look) -> str:
    """The file of a model's page: no name of a model or environment holds an @, so that no two share one."""
    name = of.model if isinstance(of, Look) else of.name
    return f"{name}@{of.environment}.html"


class Roster:
    """The models that are watched, as they stand at each round.

    Args:
        find: the live models: each with its workspace, or with what keeps it from being opened.
    """

    def __init__(self, find: Callable[[], Sequence[Found]]) -> None:
        self._find = find
        self._known: dict[tuple[str, str], Workspace] = {}

    def models(self) -> tuple[list[Workspace | Look], list[Look]]:
        """Those of this round, and those that have gone since the last one: each of them is told once.

        Raises:
            BackstayError: nothing can be found out; `former` has the models of the last round.
        """
        found = self._find()
        gone = self._known.keys() - {(one.model, one.environment) for one in found}
        lost = [_gone(model, environment) for model, environment in self._known if (model, environment) in gone]
        now: list[Workspace | Look] = []
        for one in found:
            place = (one.model, one.environment)
            if one.workspace is not None:
                self._known[place] = one.workspace
                now.append(one.workspace)
            else:
                before = self._known.get(place)
                newest = None if before is None else _newest(before)
                now.append(Look(one.model, one.environment, error=one.error, newest=newest))
        for place in gone:
            del self._known[place]
        return now, lost

    @property
    def former(self) -> list[Workspace | Look]:
        """The models that were found last, with the settings of then."""
        return list(self._known.values())


def _gone(model: str, environment: str) -> Look:
    error = NotFound(
        f"{model} in {environment} is watched no more: the project has no such live model",
        fix="its page and its windows stay; put it back into the project file to watch it again",
    )
    return Look(model, environment, error=error)


def _look(ws: Workspace, close_now: bool, act: bool, dry_run: bool, page: Path | None) -> Look:
    try:
        watched = watch(ws, close_now=close_now, act=act, dry_run=dry_run, page=page)
    except Exception as error:  # noqa: BLE001 - it is told, and the models after this one must be watched
        return Look(ws.name, ws.environment, error=told(error), newest=_newest(ws))
    return Look(ws.name, ws.environment, watched, newest=watched.latest)


def _newest(ws: Workspace) -> WindowResult | None:
    """The window before the look that failed; None where not even that can be read."""
    try:
        return newest_window(ws)
    except Exception:  # noqa: BLE001 - why the look failed is told; this is the same once more
        return None


def _row(look: Look, page: Path) -> Row:
    """A model on the index. The page of an earlier look is linked as long as it lies there."""
    error = "" if look.error is None else str(look.error)
    pending = 0 if look.watched is None else look.watched.pending
    return Row(look.model, look.environment, look.newest, page.name if page.is_file() else "", error, pending)
