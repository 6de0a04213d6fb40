"""What people hand in by file: labels, and with a column `kind` what was said of answers and done with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from backstay.data.separated import read_separated
from backstay.journal.entries import FOUND, Feedback
from backstay.journal.writer import JournalWriter
from backstay.kernel.clock import parse_time, utc
from backstay.kernel.errors import BackstayError, nearest
from backstay.labels.known import spelled, strange, told
from backstay.loop.examples import bring, text
from backstay.loop.label import Labelled, add, classes_of, open_to_others
from backstay.loop.opinions import READERS
from backstay.loop.tasks import label_text, task_of
from backstay.loop.workspace import Workspace
from backstay.serve.feedback import FEEDBACK_KINDS, FeedbackItem, entry_of
from backstay.serve.problems import Problem

LABEL = "label"
# What was found is said of a search, which a server has answered: there is no row to name in a file.
DELIMITERS = {".csv": ",", ".tsv": "\t"}
KINDS = tuple(kind for kind in FEEDBACK_KINDS if kind != FOUND)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FEW = 5


@dataclass(frozen=True, slots=True)
class _Said:
    """One row of the file; `value` is None where nothing was filled in."""

    row_id: str
    kind: str
    value: Any
    at: datetime
    seconds: float | None


def answer(ws: Workspace, rows: Any, *, source: str) -> Labelled:
    """Hand in labels by prediction id; rows whose `kind` is another kind of feedback go to the log of feedback.

    Nothing is written where an id was never logged, a kind is unknown, or the labels are not the model's.
    """
    said = _read(ws, _table(ws, rows))
    kind = task_of(ws)
    # Of sets an empty text is a set without labels; of anything else it is a row that nobody filled in.
    filled = [one for one in said if not _gap(one.value) and (_text(one.value).strip() or kind.label(""))]
    if not filled:
        raise BackstayError(
            f"none of the {len(said)} rows has a label; nothing was added",
            fix=f"fill in the column {LABEL!r}, or leave the rows out",
        )
    labels = [(one.row_id, _text(one.value), one.at) for one in filled if one.kind == LABEL]
    entries = _entries(ws, [one for one in filled if one.kind != LABEL], source)
    _refuse_strange(ws, [value for _, value, _ in labels])
    done = add(ws, labels, source=source)
    fresh = _unheard(ws, entries)
    if fresh:
        with JournalWriter(ws.state / "journal") as writer:
            writer.append_feedback(fresh)
    return replace(
        done,
        feedback=dict(Counter(entry.kind for entry in fresh)),
        repeated=done.repeated + len(entries) - len(fresh),
        notes=(*_empty(len(said) - len(filled)), *done.notes, *_unread(ws, fresh)),
    )


def _table(ws: Workspace, rows: Any) -> pa.Table:
    """The rows as they stand; of a text file with kinds, values that look like truth values as they are written.

    A column that holds `true` for a click and 1 for a label is otherwise taken for truth values, the label too.
    """
    table = bring(ws, rows if not isinstance(rows, list) else pa.Table.from_pylist(rows))
    if (
        not isinstance(rows, (str, Path))
        or Path(rows).suffix.lower() not in DELIMITERS
        or "kind" not in table.column_names
    ):
        return table
    path = Path(rows) if Path(rows).exists() else ws.root / rows
    for name in (LABEL, "value"):
        if name in table.column_names and pa.types.is_boolean(table.column(name).type):
            written = read_separated(path, DELIMITERS[path.suffix.lower()], texts=(name,))
            table = table.set_column(table.column_names.index(name), name, written.column(name))
    return table


def _read(ws: Workspace, table: pa.Table) -> list[_Said]:
    names = table.column_names
    kinds = _kinds(ws, table)
    value = "value" if kinds is not None and LABEL not in names and "value" in names else LABEL
    for name in ("id", value):
        if name not in names:
            raise BackstayError(
                f"the labels have no column {name!r}; they have {', '.join(names)}",
                fix="give the columns id and label",
            )

    def column(name: str) -> list[Any]:
        return table.column(name).to_pylist() if name in names else [None] * table.num_rows

    seconds = column("seconds") if kinds is not None else [None] * table.num_rows
    each = zip(column("id"), kinds or [LABEL] * table.num_rows, column(value), column("at"), seconds, strict=True)
    now = ws.clock.now()
    return [_Said(str(i), k, v, _moment(t, now), _seconds(s, str(i))) for i, k, v, t, s in each]


def _kinds(ws: Workspace, table: pa.Table) -> list[str] | None:
    """The kind of each row; None where there is no such column, or where it is one of the model's own."""
    if "kind" not in table.column_names or "kind" in _own_columns(ws):
        return None
    kinds = [LABEL if kind is None or kind == "" else str(kind) for kind in table.column("kind").to_pylist()]
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise BackstayError(
            f"{unknown[0][:50]!r} is not a kind of feedback; nothing was added", fix=nearest(unknown[0], KINDS)
        )
    return kinds


def _own_columns(ws: Workspace) -> set[str]:
    """Columns of the rows themselves, which an exported queue has beside its labels."""
    release = ws.catalog.champion(ws.name, ws.environment)
    if release is None or release.reference_id is None:
        return set()
    return {column.name for column in ws.rows_of(release.reference_id)[1].columns}


def _moment(value: Any, now: datetime) -> datetime:
    if value is None:
        return now
    return utc(value) if isinstance(value, datetime) else parse_time(str(value))


def _seconds(value: Any, row_id: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise BackstayError(
            f"the seconds of {row_id!r} are {value!r}; nothing was added", fix="give numbers, or leave them empty"
        ) from error


def _gap(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _text(value: Any) -> str:
    return label_text(value) or text(value)


def _refuse_strange(ws: Workspace, values: Sequence[str]) -> None:
    """A new class is a label as good as any, and may be all that was found today; other spellings of the classes are
    no labels, and `FEW` or more of which not one names a class are of something else."""
    classes = classes_of(ws)
    earlier = {label.value for label in ws.catalog.labels(**ws.scope) if label.trusted} if classes else set()
    unknown = strange(values, classes)
    if (
        not classes
        or not values
        or open_to_others(ws)
        or not all(value in unknown and value not in earlier for value in values)
        or not (len(values) >= FEW or spelled(unknown, classes))
    ):
        return
    raise BackstayError(
        f"no label names a class of the model: they are {told(unknown)}, its classes are {told(classes)}; "
        "nothing was added",
        fix=spelled(unknown, classes)
        or "write labels as the model answers; where a class is new, hand it in with labels of classes that it knows",
    )


def _entries(ws: Workspace, said: Sequence[_Said], source: str) -> list[Feedback]:
    """These rows as the log of feedback has them, checked as the server checks them."""
    if not said:
        return []
    logged = set(ws.journal.ids(**ws.scope))
    unknown = [one.row_id for one in said if one.row_id not in logged]
    if unknown:
        raise BackstayError(
            f"{len(unknown)} of {len(said)} rows of feedback are for ids that were never logged or left the log "
            f"({', '.join(map(repr, unknown[:5]))}); nothing was added",
            fix="log the predictions first, or leave these rows out",
        )
    found = []
    for one in said:
        item = FeedbackItem(one.row_id, _text(one.value), one.kind, one.seconds)
        try:
            at = (one.at - EPOCH) // timedelta(microseconds=1)
            found.append(entry_of(item, (ws.name, ws.environment), source, at, ws.settings.task))
        except Problem as problem:
            raise BackstayError(
                f"{one.row_id!r}: {problem.text}; nothing was added", fix="correct this row"
            ) from problem
    return found


def _unheard(ws: Workspace, entries: Sequence[Feedback]) -> list[Feedback]:
    """Those that are not on file: a file that is handed in again says nothing new."""
    if not entries:
        return []
    known = {_key(entry) for entry in ws.journal.feedback()[0]}
    found: dict[tuple[str, ...], Feedback] = {}
    for entry in entries:
        if _key(entry) not in known:
            found.setdefault(_key(entry), entry)
    return list(found.values())


def _key(entry: Feedback) -> tuple[str, ...]:
    return entry.model, entry.environment, entry.prediction_id, entry.kind, entry.source, entry.value


def _empty(rows: int) -> tuple[str, ...]:
    if not rows:
        return ()
    return (f"{rows} {'row has' if rows == 1 else 'rows have'} no label: left out",)


def _unread(ws: Workspace, entries: Sequence[Feedback]) -> tuple[str, ...]:
    if not entries or not READERS.isdisjoint(ws.settings.watch.detectors):
        return ()
    return ("no detector reads this feedback: name engagement or label_quality in watch.detectors",)
