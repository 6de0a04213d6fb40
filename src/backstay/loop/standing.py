"""The standing sample: each window's share of the month's labels, drawn uniformly into the review queue."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from backstay.journal.rows import Rows
from backstay.kernel.ids import fraction
from backstay.kernel.records import LabelRequest, Release
from backstay.labels.queue import draw_requests
from backstay.loop.outstanding import ESTIMATING
from backstay.loop.workspace import Workspace
from backstay.monitor.watch import window_id

DAYS_A_MONTH = 365.25 / 12


def draw_of(ws: Workspace, release: Release, rows: Rows, start: datetime, end: datetime) -> list[LabelRequest]:
    """The requests for a window's share of the standing sample: known before it is judged, and the same if repeated.

    A row that was drawn at random for an estimate before is asked about already, and speaks for the traffic as it is.
    """
    name = window_id(release.id, start, end)
    wanted = min(share_at(ws, start, end, fraction(name, "standing")), len(rows))
    if wanted == 0:
        return []
    rng = np.random.default_rng(int(fraction(name, "draw") * 2**53))
    drawn = draw_requests(rows, wanted, purpose="standing", rng=rng, now=ws.clock.now(), **ws.scope)
    before = ws.catalog.requests(ws.name, ws.environment)
    asked = {request.prediction_id: request.id for request in before if request.purpose in ESTIMATING}
    return [request for request in drawn if asked.get(request.prediction_id, request.id) == request.id]


def share_at(ws: Workspace, start: datetime, end: datetime, chance: float) -> int:
    """The window's share of the month's labels: rounded up where the chance in [0, 1) is below what is left over.

    A window that is longer than planned, since so few rows came, is no reason to ask for more than a month's.
    """
    planned = ws.settings.watch.window_days if ws.settings.watch.windows == "time" else 0.0
    days = min((end - start).total_seconds() / 86_400, max(planned, DAYS_A_MONTH))
    exact = ws.settings.budget.labels_per_month * days / DAYS_A_MONTH
    return int(exact) + int(chance < exact - int(exact))
