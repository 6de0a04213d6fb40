"""The review queue and the labels that come back: who says so, what each may be used for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import structs

from backstay.data.write import check_place, write_table
from backstay.journal.release_log import ReleaseLog
from backstay.journal.rows import Rows
from backstay.kernel.errors import BackstayError, nearest
from backstay.kernel.ids import digest
from backstay.kernel.records import Label, LabelRequest, Release, Task
from backstay.labels.ingest import labels_from, sort_feedback
from backstay.labels.known import strange, told
from backstay.labels.queue import WINDOW, draw_requests
from backstay.labels.trust import is_trusted
from backstay.loop.outstanding import Past, past_of
from backstay.loop.tasks import task_of
from backstay.loop.window_draw import outside_draws, request_of_window
from backstay.loop.workspace import Workspace

PURPOSES = ("standing", "estimate", "window", "retrain")
CURSOR = "feedback-cursor"
PLENTY = 10_000


@dataclass(frozen=True)
class Queue:
    """Rows that wait for a person, oldest first.

    Args:
        exported: the file with their rows, None where none was asked for or there was nothing to write.
        note: what is not in that file, and why.
        past: those of them that were answered by releases which are not live and tell nothing of the one that is.
    """

    requests: tuple[LabelRequest, ...]
    exported: str | None = None
    note: str = ""
    past: tuple[Past, ...] = ()


@dataclass(frozen=True)
class Labelled:
    """What became of the labels that were handed in.

    Args:
        added: new labels, and `by_use` what they may be used for. repeated: what was handed in before.
        contradicted: what the same source had said otherwise of the same row; what it said first stands.
        feedback: new entries of other kinds than labels, by kind.
        notes: what to know besides.
    """

    added: int
    repeated: int
    trusted: bool
    by_use: dict[str, int]
    contradicted: int = 0
    feedback: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def queue(ws: Workspace, *, export: Path | None = None) -> Queue:
    """The open requests; with `export` their rows are written to a file, inputs and empty label included."""
    waiting = ws.catalog.requests(ws.name, ws.environment, status="open")
    past = past_of(ws, waiting)
    if export is None:
        return Queue(tuple(waiting), past=past)
    check_place(export)
    table = _with_inputs(ws, waiting)
    gone = len(waiting) - table.num_rows
    note = f"{gone} of {len(waiting)} rows have left the log and cannot be written" if gone else ""
    if not table.num_rows:
        return Queue(tuple(waiting), note=note or "nothing to export: no file was written", past=past)
    write_table(table, export)
    return Queue(tuple(waiting), str(export), note, past)


def _with_inputs(ws: Workspace, waiting: Sequence[LabelRequest]) -> pa.Table:
    rows = live_rows(ws)
    places = {str(row_id): i for i, row_id in enumerate(rows.ids)}
    found = [r for r in waiting if r.prediction_id in places]
    chosen = rows.take(np.array([places[r.prediction_id] for r in found], dtype=np.int64))
    table = pa.table(
        {
            "id": pa.array([r.prediction_id for r in found], pa.string()),
            "purpose": pa.array([r.purpose for r in found], pa.string()),
            "prediction": pa.array([str(p) for p in chosen.predictions], pa.string()),
            "label": pa.nulls(len(found), pa.string()),
        }
    )
    if chosen.inputs is not None:
        for name in chosen.inputs.column_names:
            if name not in table.column_names:
                table = table.append_column(name, chosen.inputs.column(name))
    return table


def live_rows(
    ws: Workspace, *, release: str | None = None, since: datetime | None = None, until: datetime | None = None
) -> Rows:
    """Logged predictions of this model, of one release if named."""
    return ws.journal.rows(
        ws.name, ws.environment, release=release, since=since, until=until, manifests=ws.manifests_by_release()
    )


@contextmanager
def live_log(
    ws: Workspace, release: str, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[ReleaseLog]:
    """The log of a release, of which no more is read than is asked for; nothing rearranges it meanwhile."""
    manifests = ws.manifests_by_release()
    with ws.journal.log(**ws.scope, release=release, since=since, until=until, manifests=manifests) as log:
        yield log


def still_logged(ws: Workspace, labels: Sequence[Label]) -> list[Label]:
    """Those of the labels whose rows are in the log: of the others nothing can be learned any more."""
    if ws.journal.tally(**ws.scope).until is None:
        return list(labels)
    logged = ws.journal.owners(**ws.scope, ids=[label.prediction_id for label in labels])
    return [label for label in labels if label.prediction_id in logged]


def request(ws: Workspace, n: int, *, purpose: str = "estimate", seed: str = "") -> Queue:
    """Draw rows of the live release that nobody was asked about yet and queue them: uniformly, or by doubt."""
    if purpose not in PURPOSES:
        raise BackstayError(f"{purpose!r} is not a purpose of labels", fix=nearest(purpose, PURPOSES))
    if purpose == "retrain" and not ws.settings.retrain.from_log:
        raise BackstayError(
            "labels to retrain with are of no use here: retrain.from_log = false keeps challengers from learning from "
            "the log",
            fix="ask with --purpose estimate",
        )
    if n < 1:
        raise BackstayError(f"{n} rows cannot be drawn", fix="ask for at least one")
    release = ws.champion()
    rows = live_rows(ws, release=release.id)
    if purpose == WINDOW:
        request_of_window(ws, release, rows, n)
        return queue(ws)
    asked = _asked(ws)
    where = ""
    if purpose == "estimate" and not (outside := outside_draws(ws, release, rows.times)).all():
        rows, where = rows.take(outside), " outside the windows that were drawn from by doubt"
    order = np.argsort(rows.times, kind="stable")[::-1]
    free = _of_nobody(rows, _recent(order, n, purpose), asked)
    if len(free) < n:
        # Older ones than are drawn from by preference are better than none.
        free = _of_nobody(rows, order, asked)[:n]
    if len(free) < n:
        raise BackstayError(
            f"{n} rows were asked for and {len(free)} unasked ones of this release are logged{where}",
            fix=f"ask for at most {len(free)}, or wait for more traffic" if len(free) else "wait for more traffic",
        )
    drawn = draw_requests(
        rows.take(free),
        n,
        purpose=purpose,
        rng=np.random.default_rng(int(digest({"release": release.id, "asked": len(asked), "seed": seed})[:12], 16)),
        now=ws.clock.now(),
        **ws.scope,
    )
    ws.catalog.add_requests(drawn)
    return queue(ws)


def unasked(ws: Workspace, release: Release, log: ReleaseLog) -> int:
    """How many of these rows of a release can be drawn for an estimate; where there are plenty, at least so many."""
    asked = _asked(ws)
    outside = outside_draws(ws, release, log.times)
    least = int(outside.sum()) - len(asked)
    # Ids are compared only where it matters: a log has a million of them.
    return least if least >= PLENTY else sum(row_id not in asked for row_id in log.ids_where(outside))


def _asked(ws: Workspace) -> set[str]:
    return {r.prediction_id for r in ws.catalog.requests(ws.name, ws.environment)}


def _of_nobody(rows: Rows, places: npt.NDArray[np.int64], asked: set[str]) -> npt.NDArray[np.int64]:
    """Those places whose rows nobody was asked about."""
    return np.array([i for i in places if str(rows.ids[i]) not in asked], dtype=np.int64)


def _recent(order: npt.NDArray[np.int64], n: int, purpose: str) -> npt.NDArray[np.int64]:
    """Newest rows first: an estimate is of now, and a challenger is to learn how inputs look now."""
    keep = max(n * 3 // 2, n) if purpose == "retrain" else max(n, min(len(order), 400))
    return order[:keep].astype(np.int64)


def add(ws: Workspace, given: Sequence[tuple[str, str, datetime]], *, source: str) -> Labelled:
    """File labels under their source, each dealt to exactly one use; answered requests are closed."""
    groups = ws.journal.owners(**ws.scope, ids=[row_id for row_id, _, _ in given])
    open_requests = {r.prediction_id: r for r in ws.catalog.requests(ws.name, ws.environment, status="open")}
    kind = task_of(ws)
    written = [(row_id, kind.label(value) or value, at) for row_id, value, at in given]
    labels = labels_from(
        written, groups=groups, requests=open_requests, source=source, settings=ws.settings.labels, **ws.scope
    )
    kind.refuse_unfit(labels)
    before = {label.prediction_id: label.value for label in ws.catalog.labels(**ws.scope) if label.source == source}
    fresh = [label for label in labels if label.prediction_id not in before]
    contradicted = sum(before.get(label.prediction_id, label.value) != label.value for label in labels)
    added = ws.catalog.add_labels(labels)
    answered = [open_requests[label.prediction_id].id for label in labels if label.prediction_id in open_requests]
    if any(label.trusted for label in labels):
        ws.catalog.close_requests(answered, "answered")
    by_use: dict[str, int] = {}
    for label in {label.prediction_id: label for label in fresh}.values():
        by_use[label.use.value] = by_use.get(label.use.value, 0) + 1
    trusted = is_trusted(source, ws.settings.labels)
    notes = unknown_classes(ws, [label.value for label in fresh])
    return Labelled(added, len(labels) - added - contradicted, trusted, by_use, contradicted, notes=notes)


def classes_of(ws: Workspace) -> tuple[str, ...]:
    """What the live model may answer, where its answers are classes: a label of another word is of a new class."""
    release = ws.catalog.champion(ws.name, ws.environment)
    if release is None:
        return ()
    record = ws.model_record(release.model_id)
    if record.task not in (Task.CLASSIFICATION, Task.PREDICTIONS) or not record.classes:
        return ()
    none_label = ws.none_label(record)
    return (*record.classes, *([none_label] if none_label else []))


def open_to_others(ws: Workspace) -> bool:
    """Whether the live model says of rows that they are of none of its classes: their labels are then no news."""
    release = ws.catalog.champion(ws.name, ws.environment)
    return release is not None and bool(ws.none_label(ws.model_record(release.model_id)))


def unknown_classes(ws: Workspace, values: Sequence[str]) -> tuple[str, ...]:
    """A note on labels that name no class of the live model; none where all do."""
    classes = classes_of(ws)
    unknown = strange(values, classes) if classes and not open_to_others(ws) else ()
    if not unknown:
        return ()
    count = sum(value in unknown for value in values)
    return (f"{count} {'label names' if count == 1 else 'labels name'} no class of the model: {told(unknown)}",)


def ingest_feedback(ws: Workspace) -> list[str]:
    """Take in what came to the server as feedback since the last time; answers what was left in the log, and why."""
    feedback, cursor = ws.journal.feedback(cursor_of(ws))
    kind = task_of(ws)
    mine = [
        structs.replace(f, value=kind.label(f.value) or f.value) if f.value else f
        for f in feedback
        if (f.model, f.environment, f.kind) == (ws.name, ws.environment, "label")
    ]
    found = sort_feedback(mine, ws.journal.owners(**ws.scope, ids=[f.prediction_id for f in mine]))
    unfit, contradicted = 0, found.contradicted
    unknown: list[str] = []
    for source, given in sorted(found.by_source.items()):
        fit = [g for g in given if kind.label(g[1]) is not None]
        unfit += len(given) - len(fit)
        done = add(ws, fit, source=source)
        contradicted += done.contradicted
        unknown += [f"{note} (said by {source})" for note in done.notes]
    with ws.ledger.transaction() as tx:
        tx.set_state(_cursor_key(ws), {"cursor": cursor})
    left = (
        (found.unknown, "labels came for ids that were never logged or have left the log"),
        (found.empty, "labels came without a value"),
        (unfit, kind.unfit),
        (contradicted, "labels contradict what the same source had said before"),
    )
    return [*(f"{n} {what}" for n, what in left if n), *unknown]


def cursor_of(ws: Workspace) -> dict[str, int]:
    """How far feedback has been taken in, by log file."""
    state = ws.catalog.get_state(_cursor_key(ws))
    return {} if state is None else dict(state["cursor"])


def _cursor_key(ws: Workspace) -> str:
    return f"{CURSOR}/{ws.name}/{ws.environment}"
