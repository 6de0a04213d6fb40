"""Judge what has been logged since the last look, remember it, say what to do, and do it where that was allowed."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from backstay.journal.importing import rows_from
from backstay.journal.release_log import ReleaseLog
from backstay.journal.rows import Rows
from backstay.kernel.errors import Conflict
from backstay.kernel.plural import counted
from backstay.kernel.records import Condition, Decision, Release, Schema, WindowResult
from backstay.loop.act import carry_out, decide, tidy
from backstay.loop.examples import bring, group_names
from backstay.loop.gating import Offered
from backstay.loop.given import as_kept
from backstay.loop.label import ingest_feedback, live_log, unasked
from backstay.loop.labelled import labelled_rows
from backstay.loop.lease import lease
from backstay.loop.lookup import example_ids, newest_window, window_results
from backstay.loop.notify import begin, deliver
from backstay.loop.numbers import measured, with_numbers_of
from backstay.loop.opinions import heard
from backstay.loop.outstanding import past_of, waiting_for_estimates
from backstay.loop.reference import reference_of, slices_of
from backstay.loop.rest import at_rest, note
from backstay.loop.searched import Searched
from backstay.loop.sets import with_sets_of
from backstay.loop.standing import draw_of
from backstay.loop.whole_file import write_whole
from backstay.loop.window_draw import drawn_of
from backstay.loop.window_rows import no_numbers_in, window_data
from backstay.loop.workspace import Workspace
from backstay.monitor.asking import renewed
from backstay.monitor.fitted import Detectors
from backstay.monitor.late_rows import Untold
from backstay.monitor.memory import Memory
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import LabelledRow, WindowData
from backstay.monitor.watch import watch_window
from backstay.monitor.windows import SMALLEST, cut, stamp
from backstay.serve.metrics import watch_text

Logged = TypeVar("Logged", Rows, ReleaseLog)


@dataclass(frozen=True)
class Watched:
    """What one look found.

    Args:
        windows: judged now, oldest first; empty when none has closed since the last look.
        latest: the newest window ever judged, None before the first.
        pending: rows that wait in the window that is still filling, and `takes` how many it has to have.
        requested: prediction ids that this look put into the review queue.
    """

    windows: tuple[WindowResult, ...]
    latest: WindowResult | None
    pending: int
    decision: Decision | None = None
    requested: tuple[str, ...] = ()
    page: str | None = None
    acted: Offered | None = None
    promoted: Release | None = None
    notes: tuple[str, ...] = ()
    takes: int = 0

    @property
    def waits(self) -> str:
        """How many rows wait, and for how many where these are not enough however long they wait.

        >>> Watched((), None, 35, takes=100).waits
        '35 rows wait in the window that is still filling, which takes 100 or more'
        >>> Watched((), None, 1, takes=1).waits
        '1 row waits in the window that is still filling'
        """
        verb = "waits" if self.pending == 1 else "wait"
        rows = f"{counted(self.pending, 'row')} {verb} in the window that is still filling"
        return rows if not 0 < self.pending < self.takes else f"{rows}, which takes {self.takes:,} or more"

    @property
    def nothing_yet(self) -> str:
        """Why no window has been judged so far. The first look closes the first window, however short it is."""
        return f"nothing to judge yet: {self.pending} rows wait, and the first window needs {SMALLEST} up to now"

    @property
    def new_alarms(self) -> tuple[str, ...]:
        return tuple(name for window in self.windows for name in window.new_alarms)

    @property
    def alarming(self) -> bool:
        """Whether somebody should look: an alarm was raised, or labels say (at rest: said last) that it is worse."""
        seen = self.windows or ((self.latest,) if self.latest is not None else ())
        return bool(self.new_alarms) or any(w.condition is Condition.WORSE for w in seen)


def watch(
    ws: Workspace,
    *,
    close_now: bool = False,
    act: bool = False,
    dry_run: bool = False,
    page: Path | None = None,
    metrics: Path | None = None,
) -> Watched:
    """Judge every window of the live release that has closed; each is committed with the detectors' memory.

    Args:
        dry_run: tell what `act` would do, and do none of it; windows are judged as ever.
        metrics: where the newest window's figures are written for Prometheus.

    Raises:
        Conflict: `act` was asked for while another process acts for this model.
    """
    begin(ws)
    with lease(ws.ledger, f"{ws.name}/{ws.environment}") if act and not dry_run else nullcontext():
        watched = _watch(ws, close_now=close_now, act=act, dry_run=dry_run, page=page)
    if metrics is not None and watched.latest is not None:
        write_whole(metrics, watch_text(watched.latest).decode(), fix="name another place with --metrics")
    return replace(watched, notes=(*watched.notes, *deliver(ws).notes))


def _watch(ws: Workspace, *, close_now: bool, act: bool, dry_run: bool, page: Path | None) -> Watched:
    release = ws.champion()
    notes = ingest_feedback(ws)
    key = f"watch/{ws.name}/{ws.environment}/{release.id}"
    if page is None and (watched := _rested(ws, key, release, notes, close_now=close_now, act=act, dry_run=dry_run)):
        return watched
    mark = ws.journal.mark(**ws.scope)
    detectors = detectors_of(ws, key, release)
    with live_log(ws, release.id) as logged:
        log, broken = with_numbers(logged)
        done, requested, memory, told = _judged(ws, key, release, detectors, log, close_now=close_now)
        history = window_results(ws, release.id)
        latest = history[-1] if history else None
        if latest is not None and not done and latest.labels_requested:
            latest = renewed(latest, unasked(ws, release, log), waiting_for_estimates(ws))
        pending = int(np.count_nonzero(log.times >= stamp(memory.last_end))) if memory.last_end else len(log)
        note(ws, key, mark, memory, release, logged, log)
        shown = Rows.none() if latest is None or page is None else log.of_ids(example_ids(latest))
    watched = _followed(ws, release, history, [*notes, *told, *broken], act=act, dry_run=dry_run)
    written = None
    if latest is not None and page is not None:
        # Drawing needs matplotlib, which a look without a page can do without.
        from backstay.loop.pages import write_watch_page

        written = str(write_watch_page(ws, page, latest, history, shown, release, watched.decision, watched.notes))
    return replace(
        watched, windows=tuple(done), latest=latest, pending=pending, requested=tuple(requested), page=written
    )


def _judged(
    ws: Workspace, key: str, release: Release, detectors: Detectors, log: ReleaseLog, *, close_now: bool
) -> tuple[list[WindowResult], list[str], Memory, list[str]]:
    """Judge the windows that are ready: results, rows that were asked about, what is remembered now, and notes."""
    left = ws.journal.tally(**ws.scope).judged.get(release.id, 0)
    memory = _remembered(ws, key, release, log)
    close = close_now or memory.windows == 0
    windows = cut(log.times, memory.started, ws.clock.now(), memory.last_end, ws.settings.watch, close=close)
    if not windows:
        memory, notes = _told(ws, key, memory, memory.untold(log.times, left).overlapping)
        return [], [], memory, notes
    reference = detectors.reference
    known = (measured(row, reference.limit) for row in labelled_rows(ws, log, release))
    labelled = tuple(row for row in known if row is not None)
    feedback = heard(ws, log, release.id, windows[0].start, windows[-1].end)
    _, schema = ws.rows_of(str(release.reference_id))
    answered = _labelled_as_rows(log, labelled, schema, reference)
    searched = Searched(ws, release, reference)
    done: list[WindowResult] = []
    requested: list[str] = []
    notes = []
    with ws.progress.step("windows", total=len(windows)) as tick:
        for window in windows:
            inside = log.between(window.start, window.end)
            data = window_data(inside, window.start, window.end, schema, labelled)
            notes += no_numbers_in(data)
            untold = memory.untold(log.times, left)
            data = replace(data, slices=slices_of(ws, inside.inputs, reference.slices), untold=untold)
            data = _answered(feedback.into(data, inside), inside, reference)
            # The standing sample of this very window is asked for once it is judged.
            asked = draw_of(ws, release, inside, window.start, window.end)
            free = max(unasked(ws, release, log) - len(asked), 0)
            drawn = drawn_of(ws, release, labelled, window.start, window.end)
            found = searched.of(window.start, window.end)
            waiting = waiting_for_estimates(ws, asked)
            data = replace(data, drawn=drawn, unasked=free, waiting=waiting, answered=answered, searches=found)
            result, memory = watch_window(memory, data, detectors, ws.settings, ws.clock)
            ws.catalog.add_requests(asked)
            requested += [request.prediction_id for request in asked]
            try:
                commit(ws, key, release, result, memory)
            except Conflict as other:
                notes.append(other.what)
                memory = _remembered(ws, key, release, log)
                break
            done.append(result)
            tick()
    return done, requested, memory, notes


def _told(ws: Workspace, key: str, memory: Memory, overlapping: int) -> tuple[Memory, list[str]]:
    """Tell of logged rows in windows of a backfill: no window may ever. Late rows are told with the next one."""
    if not overlapping:
        return memory, []
    there = Untold(overlapping=overlapping)
    memory = memory.with_told(there)
    with ws.ledger.transaction() as tx:
        tx.set_state(key, memory.to_json())
    return memory, list(there.sentences)


def _rested(
    ws: Workspace, key: str, release: Release, notes: list[str], *, close_now: bool, act: bool, dry_run: bool
) -> Watched | None:
    """The look where no window can be ready, without reading what was read before; None where one may be."""
    history = window_results(ws, release.id)
    if not history:
        return None
    latest = history[-1]
    resting = at_rest(ws, key, release, close_now=close_now, wanted=latest.labels_requested)
    if resting is None:
        return None
    watched = _followed(ws, release, history, [*notes, *_left_out(resting.unsound)], act=act, dry_run=dry_run)
    return replace(watched, latest=renewed(latest, resting.unasked, waiting_for_estimates(ws)), pending=resting.pending)


def _followed(
    ws: Workspace, release: Release, history: list[WindowResult], notes: list[str], *, act: bool, dry_run: bool
) -> Watched:
    """What follows from the windows so far: the decision, what was done about it, and notes; no window is in it."""
    decision, unknown = decide(ws, history, release)
    acted, promoted, said = carry_out(ws, decision, release, dry_run=dry_run) if act or dry_run else (None, None, [])
    past = past_of(ws, ws.catalog.requests(ws.name, ws.environment, status="open"))
    told = [*notes, *unknown, *said, *(p.sentence for p in past), *(tidy(ws) if act and not dry_run else ())]
    takes = ws.settings.watch.window_rows if ws.settings.watch.windows == "count" else ws.settings.watch.minimum_rows
    return Watched((), None, 0, decision, acted=acted, promoted=promoted, notes=tuple(told), takes=takes)


def commit(ws: Workspace, key: str, release: Release, result: WindowResult, memory: Memory) -> None:
    """Keep a window with what the detectors remember after it, and its alarms: all of it or nothing.

    Raises:
        Conflict: another look has kept a window since this one read what was remembered.
    """
    before = newest_window(ws)
    was_worse = before is not None and (before.release_id, before.condition) == (release.id, Condition.WORSE)
    with ws.ledger.transaction() as tx:
        kept = tx.get_state(key)
        if (0 if kept is None else int(kept["windows"])) != memory.windows - 1:
            raise Conflict(
                f"another look judged rows up to {result.end:%Y-%m-%d %H:%M} UTC at the same time: what it said stands",
                fix="look again: `backstay watch`",
            )
        tx.put("window", result.id, result, **ws.scope)
        tx.set_state(key, memory.to_json())
        for name in result.new_alarms:
            body = {"detector": name, "window": result.id, "release": release.id, "headline": result.headline}
            tx.append("alarm", body, actor=ws.actor)
        if result.condition is Condition.WORSE and not was_worse and not result.new_alarms:
            # Said by the interval of the labels, before any detector: news all the same.
            body = {"window": result.id, "release": release.id, "headline": result.headline}
            tx.append("worse", body, actor=ws.actor)


def examine(ws: Workspace, source: Any) -> Watched:
    """Judge a file or frame of rows as one window of the live release. Nothing is recorded."""
    release = ws.champion()
    record = ws.model_record(release.model_id)
    table = bring(ws, source)
    _, schema = ws.rows_of(str(release.reference_id))
    now = ws.clock.now()
    if record.bundle is None:
        rows = rows_from(table, ws.settings.predictions, ws.settings.data.time_zone, classes=record.classes, now=now)
    else:
        model = ws.load_model(record)
        table = as_kept(table, schema, model.manifest.columns)
        outputs = model.predict(table)
        rows = Rows(
            ids=np.array([f"row-{i}" for i in range(table.num_rows)], dtype=object),
            times=np.full(table.num_rows, stamp(now), dtype="datetime64[us]"),
            releases=np.full(table.num_rows, release.id, dtype=object),
            predictions=outputs.labels,
            scores=outputs.scores,
            embeddings=outputs.embeddings,
            groups=group_names(table, schema.group),
            inputs=table,
        )
    rows, broken = with_numbers(rows)
    start = now - timedelta(days=ws.settings.watch.window_days)
    data = window_data(rows, start, now + timedelta(microseconds=1), schema, ())
    detectors = detectors_of(ws, f"watch/{ws.name}/{ws.environment}/{release.id}", release)
    data = replace(data, slices=slices_of(ws, rows.inputs, detectors.reference.slices))
    data = _answered(data, rows, detectors.reference)
    result, _ = watch_window(Memory.start(release.id, start), data, detectors, ws.settings, ws.clock)
    return Watched((result,), result, 0, notes=tuple(broken))


def _answered(window: WindowData, rows: Rows, reference: Reference) -> WindowData:
    """The window with its answers as the model means them: numbers, sets of labels, or classes as they are."""
    return with_sets_of(with_numbers_of(window, rows, reference), rows, reference)


def with_numbers(rows: Logged) -> tuple[Logged, list[str]]:
    """Rows whose scores and embeddings are numbers, and a note on the others: one of them must not blind a test."""
    sound = rows.sound()
    return (rows, []) if sound.all() else (rows.take(sound), _left_out(int((~sound).sum())))


def _left_out(unsound: int) -> list[str]:
    return [f"{unsound} rows have scores or embeddings that are not numbers: left out"] if unsound else []


def _remembered(ws: Workspace, key: str, release: Release, log: ReleaseLog) -> Memory:
    """What is remembered of this release. Rows logged from before it was made belong to its first window."""
    state = ws.catalog.get_state(key)
    if state is not None:
        return Memory.from_json(state)
    began = release.created_at
    if len(log):
        began = min(began, log.times[0].astype("datetime64[us]").astype(datetime).replace(tzinfo=UTC))
    fresh = Memory.start(release.id, began)
    former = _same_model(ws, release)
    return fresh if former is None else fresh.with_labels_of(former)


def _same_model(ws: Workspace, release: Release) -> Memory | None:
    """What is remembered of the release by which the same model was live before it was made live again."""
    same = (release.model_id, release.reference_id)
    for other in reversed(ws.catalog.releases(ws.name, ws.environment)):
        if other.sequence < release.sequence and (other.model_id, other.reference_id) == same:
            state = ws.catalog.get_state(f"watch/{ws.name}/{ws.environment}/{other.id}")
            return None if state is None else Memory.from_json(state)
    return None


def detectors_of(ws: Workspace, key: str, release: Release) -> Detectors:
    """The fitted detectors of this release, from the cache when reference and settings are the same."""
    reference = reference_of(ws, release)
    cached = ws.catalog.get_state(f"fitted/{key}")
    detectors = Detectors.restore(reference, ws.settings, cached)
    fresh = detectors.to_json()
    if cached is None or cached.get("key") != fresh["key"]:
        with ws.ledger.transaction() as tx:
            tx.set_state(f"fitted/{key}", fresh)
    return detectors


def _labelled_as_rows(
    log: ReleaseLog, labelled: tuple[LabelledRow, ...], schema: Schema, reference: Reference
) -> WindowData | None:
    """Logged rows of a regression of which labels tell, with their inputs: these foretell how far off each is."""
    wanted = {row.label.prediction_id for row in labelled if row.representative}
    if reference.limit is None or not wanted:
        return None
    held = log.of_ids(wanted)
    first, last = (
        at.astype("datetime64[us]").astype(datetime).replace(tzinfo=UTC) for at in (min(held.times), max(held.times))
    )
    data = window_data(held, first, last + timedelta(microseconds=1), schema, ())
    return with_numbers_of(data, held, reference)
