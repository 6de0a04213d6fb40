"""A round over several models: each is watched, and one that fails stops no other. Their pages and figures go together.

The pages lie in one folder, `MODEL@ENVIRONMENT.html` each, with an index; the figures in one file for Prometheus.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from backstay.kernel.errors import BackstayError
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


def look_at_each(
    models: Sequence[Workspace],
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
        pages: folder of their pages. metrics: file of their newest windows' figures.

    Raises:
        BackstayError: index or figures cannot be written; every model has been watched by then.
    """
    done: list[Look] = []
    for ws in models:
        look = _look(ws, close_now, act, dry_run, None if pages is None else pages / page_name(ws))
        tell(look)
        done.append(look)
    if pages is not None:
        rows = [_row(look, pages / page_name(ws)) for ws, look in zip(models, done, strict=True)]
        write_whole(pages / INDEX, models_page(rows), fix="name another folder with --page")
    windows = [look.newest for look in done if look.newest is not None]
    if metrics is not None and windows:
        write_whole(metrics, watch_text(*windows).decode(), fix="name another place with --metrics")
    return done


def page_name(ws: Workspace) -> str:
    """The file of a model's page: no name of a model or environment holds an @, so that no two share one."""
    return f"{ws.name}@{ws.environment}.html"


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
