"""Where the quality of a model is going, from what was recorded: nothing is measured anew, nothing is written down."""

from __future__ import annotations

from pathlib import Path

from backstay.kernel.errors import BackstayError
from backstay.kernel.momentum import Momentum
from backstay.loop.lookup import window_results
from backstay.loop.pages import write_page
from backstay.loop.workspace import Workspace
from backstay.monitor.momentum import HORIZON_DAYS, momentum


def trend(ws: Workspace, *, horizon_days: float = HORIZON_DAYS, page: Path | None = None) -> Momentum:
    """Decay of every release, lead time, failed changes, time to restore; as a page too where one is named.

    Args:
        horizon_days: how far ahead a threshold is looked for.
    """
    if not 1.0 <= horizon_days <= 3650.0:
        raise BackstayError(f"a horizon of {horizon_days!r} days", fix="look 1 to 3650 days ahead")
    releases = ws.catalog.releases(ws.name, ws.environment)
    results = window_results(ws)
    watching = ws.settings.watch
    found = momentum(
        results,
        releases,
        model=ws.name,
        environment=ws.environment,
        tolerance=watching.tolerance,
        quiet_windows=watching.quiet_windows,
        horizon_days=horizon_days,
    )
    if page is not None:
        # Drawing needs matplotlib, which an answer without a page can do without.
        from backstay.render.momentum_page import momentum_page

        write_page(page, momentum_page(found, results, releases))
    return found
