"""Looks at which no window can be ready: they read nothing of the log that the look before has read.

A window is judged beside the whole log of its release, since late rows, labels that come months later and repeated ids
are only known there. Most looks of an agent judge nothing. Of those this tells beforehand, from what the last whole
look noted: when the log's files are the same, nothing is read; when they are not and the next window ends later than
now, only rows of the window that is still filling.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np

from backstay.journal.release_log import ReleaseLog
from backstay.kernel.records import Json, Release
from backstay.loop.label import live_log, unasked
from backstay.loop.workspace import Workspace
from backstay.monitor.memory import Memory
from backstay.monitor.windows import could_close, stamp


@dataclass(frozen=True, slots=True)
class Noted:
    """What a whole look keeps for the next one.

    Args:
        log: names the files of the log as they were; `left` what had left it. `end`: of the newest judged window.
        pending: rows from there on. unsound: rows before it whose scores or embeddings are not numbers, and `pending
            unsound` such ones from there on.
        requests: how many rows were ever asked about; `unasked`: how many more can be drawn at random.
    """

    log: str
    left: str
    end: str
    pending: int
    unsound: int
    pending_unsound: int
    requests: int
    unasked: int


@dataclass(frozen=True, slots=True)
class Resting:
    """Rows that wait, rows that are no numbers in all of the log, and how many rows can be drawn for a label."""

    pending: int
    unsound: int
    unasked: int


def at_rest(ws: Workspace, key: str, release: Release, *, close_now: bool, wanted: int) -> Resting | None:
    """What such a look would find out; None where windows may be ready, or only the whole log can tell.

    Args:
        wanted: labels that the newest window asks for.
    """
    kept, state = ws.catalog.get_state(_place(key)), ws.catalog.get_state(key)
    if kept is None or state is None:
        return None
    noted, memory = Noted(**kept), Memory.from_json(state)
    end = memory.last_end
    asked = len(ws.catalog.requests(ws.name, ws.environment))
    if end is None or noted.end != end.isoformat() or noted.requests != asked or noted.left != _left(ws):
        return None
    now, settings = ws.clock.now(), ws.settings.watch
    if noted.log == ws.journal.mark(**ws.scope):
        if could_close(noted.pending, end, memory.started, now, settings, close=close_now):
            return None
        return Resting(noted.pending, noted.unsound + noted.pending_unsound, noted.unasked)
    if could_close(None, end, memory.started, now, settings, close=close_now) or noted.unasked < wanted:
        return None
    spans = memory.late_rows.spans
    if spans:
        # Few rows are logged of a time that a backfill judged.
        with live_log(ws, release.id, since=spans[0][0], until=spans[-1][1]) as there:
            if memory.late_rows.overlap_untold(there.times[there.sound()]):
                return None
    with live_log(ws, release.id, since=end) as log:
        pending, unsound = _counted(log, end)
    # Rows that came in late are counted by the next whole look, as they always were: when a window is judged.
    return Resting(pending, noted.unsound + unsound, noted.unasked)


def note(
    ws: Workspace, key: str, mark: str, memory: Memory, release: Release, log: ReleaseLog, sound: ReleaseLog
) -> None:
    """Keep what a whole look has seen. `mark`: the log's files before they were read; `sound`: the rows judged by."""
    end = memory.last_end
    if end is None:
        return
    pending, unsound = _counted(log, end)
    noted = Noted(
        log=mark,
        left=_left(ws),
        end=end.isoformat(),
        pending=pending,
        unsound=len(log) - len(sound) - unsound,
        pending_unsound=unsound,
        requests=len(ws.catalog.requests(ws.name, ws.environment)),
        unasked=unasked(ws, release, sound),
    )
    value: Json = asdict(noted)
    if ws.catalog.get_state(_place(key)) != value:
        with ws.ledger.transaction() as tx:
            tx.set_state(_place(key), value)


def _counted(log: ReleaseLog, end: datetime) -> tuple[int, int]:
    """Sound rows from this moment on, and others."""
    sound = log.sound()[log.times >= stamp(end)]
    return int(np.count_nonzero(sound)), int(np.count_nonzero(~sound))


def _left(ws: Workspace) -> str:
    return str(ws.journal.tally(**ws.scope).to_json())


def _place(key: str) -> str:
    return f"rest/{key}"
