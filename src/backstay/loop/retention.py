"""Let rows leave the log when they are older than the project file says, and put on record how many left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from backstay.kernel.records import Json
from backstay.loop.label import cursor_of
from backstay.loop.lookup import judged_until
from backstay.loop.workspace import Workspace

KIND = "expired"


@dataclass(frozen=True)
class Expired:
    """What left the log for its age (or would).

    Args:
        before: days before this one were to go; None where rows are kept for ever.
        days: how many rows left, by UTC day.
        unjudged: rows as old that stay until `backstay watch` has judged their window.
    """

    before: date | None
    days: dict[str, int]
    unjudged: int = 0

    @property
    def rows(self) -> int:
        return sum(self.days.values())

    def to_json(self) -> Json:
        before = None if self.before is None else self.before.isoformat()
        return {"before": before, "rows": self.rows, "days": self.days, "unjudged": self.unjudged}


def expire(ws: Workspace, *, dry_run: bool = False) -> Expired:
    """Let this model's rows of days older than `log.keep_days` leave the log, feedback on them included.

    Labels that came of them stay, as does all that a ledger row or verdict names; open requests for them are closed.
    Rows of the live release wait until a window has judged them. Doing it again goes on where a killed run stopped:
    the ledger tells of each row once.
    """
    keep = ws.settings.log.keep_days
    if keep is None:
        return Expired(None, {})
    old = ws.clock.now().astimezone(UTC).date() - timedelta(days=keep)
    before = min(old, _judged_until(ws, old))
    manifests = ws.manifests_of_all()
    if dry_run:
        days = ws.journal.to_expire(**ws.scope, before=before, manifests=manifests)
    else:
        days = ws.journal.expire(**ws.scope, before=before, manifests=manifests, cursor=cursor_of(ws))
        _close_requests(ws)
        _record(ws, before)
    rest = ws.journal.to_expire(**ws.scope, before=old, manifests=manifests) if before < old else {}
    unjudged = sum(rest.values()) - (sum(days.values()) if dry_run else 0)
    return Expired(old, days, max(unjudged, 0))


def _judged_until(ws: Workspace, old: date) -> date:
    """The day up to which the live release has been judged; its first day where it never was."""
    release = ws.catalog.champion(ws.name, ws.environment)
    if release is None:
        return old
    last_end = judged_until(ws, release.id)
    if last_end is not None:
        return last_end.astimezone(UTC).date()
    times = ws.journal.rows(**ws.scope, release=release.id, until=datetime.combine(old, time(), UTC)).times
    first: date = times.min().astype("datetime64[D]").item() if len(times) else old
    return first


def _close_requests(ws: Workspace) -> None:
    """Nobody can look at a row that has left."""
    waiting = ws.catalog.requests(ws.name, ws.environment, status="open")
    if not waiting or ws.journal.tally(**ws.scope).until is None:
        return
    logged = set(ws.journal.ids(**ws.scope))
    ws.catalog.close_requests([r.id for r in waiting if r.prediction_id not in logged], KIND)


def _record(ws: Workspace, before: date) -> None:
    """A ledger row on what has left and is not in the ledger yet: this run's rows, and those of one that was killed."""
    key = f"{KIND}/{ws.name}/{ws.environment}"
    with ws.ledger.transaction() as tx:
        left = dict(ws.journal.tally(**ws.scope).expired)
        told = tx.get_state(key) or {}
        fresh = {day: n - told.get(day, 0) for day, n in left.items() if n > told.get(day, 0)}
        if not fresh:
            return
        body = {
            **ws.scope,
            "rows": sum(fresh.values()),
            "days": fresh,
            "before": before.isoformat(),
            "keep_days": ws.settings.log.keep_days,
        }
        tx.append(KIND, body, actor=ws.actor)
        tx.set_state(key, left)
