"""Rows that wait for a label although the release that answered them is live no more, after a rollback or a promotion.

Their labels would tell how good that release was, which nobody asks any more. Rows drawn to train with are another
matter: what is true of them is true whoever answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from backstay.kernel.records import LabelRequest
from backstay.loop.workspace import Workspace

TEACHING = "retrain"
ESTIMATING = ("standing", "estimate")
MONTH_DAYS = 31.0
CLOSED = "past"


@dataclass(frozen=True)
class Past:
    """Open requests for rows of one release that is not live.

    Args:
        release: its number, as `backstay history` has it.
        ids: of the requests.
    """

    release: int
    ids: tuple[str, ...]

    @property
    def rows(self) -> int:
        return len(self.ids)

    @property
    def sentence(self) -> str:
        return (
            f"{self.rows} of the rows that wait for a label were answered by release {self.release}, which is not "
            "live: they tell nothing of the model that is"
        )


def past_of(ws: Workspace, waiting: Sequence[LabelRequest]) -> tuple[Past, ...]:
    """Those of these requests that no longer tell anything of the live release, by release, oldest first."""
    waiting = [r for r in waiting if r.purpose != TEACHING]
    champion = ws.catalog.champion(ws.name, ws.environment)
    sequences = {r.id: r.sequence for r in ws.catalog.releases(ws.name, ws.environment)}
    if not waiting or champion is None or len(sequences) < 2:
        return ()
    answered = ws.journal.answered_by(ws.name, ws.environment, {r.prediction_id for r in waiting})
    found: dict[int, list[str]] = {}
    for request in waiting:
        release = answered.get(request.prediction_id, champion.id)
        if release != champion.id and release in sequences:
            found.setdefault(sequences[release], []).append(request.id)
    return tuple(Past(sequence, tuple(ids)) for sequence, ids in sorted(found.items()))


def waiting_for_estimates(ws: Workspace, asked: Sequence[LabelRequest] = ()) -> int:
    """How many rows of the live release wait for a label that would enter its estimates: drawn at random in the last
    month, since older ones would come too late for them.

    Args:
        asked: requests that are about to be added, or were before a look was killed.
    """
    since = ws.clock.now() - timedelta(days=MONTH_DAYS)
    waiting = [
        request
        for request in ws.catalog.requests(ws.name, ws.environment, status="open")
        if request.purpose in ESTIMATING and request.requested_at >= since
    ]
    past = {request_id for former in past_of(ws, waiting) for request_id in former.ids}
    return len({request.prediction_id for request in (*waiting, *asked) if request.id not in past})


def close_past(ws: Workspace) -> int:
    """Ask no more for labels of rows that a release answered which is not live; answers how many that closes."""
    waiting = ws.catalog.requests(ws.name, ws.environment, status="open")
    ids = [i for past in past_of(ws, waiting) for i in past.ids]
    if ids:
        ws.catalog.close_requests(ids, CLOSED)
    return len(ids)
