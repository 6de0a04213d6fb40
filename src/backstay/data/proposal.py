"""The first project file: what could be seen in the rows, with comments so that a person can correct it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from backstay.bundle.sets import labels_of, sets_as_text
from backstay.data import project_text
from backstay.data.audit.identifiers import looks_like_id
from backstay.data.audit.subject import WIDE
from backstay.data.images import size_for
from backstay.data.kinds import as_kind, kind_of, words_of
from backstay.data.numbers_as_text import written_numbers
from backstay.data.parts import TEST, part_column, words
from backstay.data.project_text import Seen
from backstay.data.read import read
from backstay.data.row_names import TEXTS
from backstay.data.schema import ALONE, infer_schema
from backstay.data.sets import holds_lists
from backstay.data.targets import class_texts, many_fractions, refuse_undecided
from backstay.data.watching import unwatched
from backstay.data.zones import moments
from backstay.kernel.errors import BackstayError, nearest
from backstay.kernel.records import Column, ColumnKind

TARGETS = ("target", "label", "y", "class", "outcome")
IDS = ("id", "row_id", "uid", "uuid", "key")
TIMES = ("time", "timestamp", "datetime", "date", "created_at", "at")
GROUPS = ("group", "group_id", "user_id", "customer_id", "patient_id", "subject_id", "writer")
MOST_SLICES = 3
SLICE_VALUES = 12
SLICE_ROWS = 100


def propose(
    source: Path,
    *,
    target: str | None = None,
    time: str | None = None,
    group: str | None = None,
    name: str | None = None,
    folder: Path | None = None,
    task: str | None = None,
) -> str:
    """The text of backstay.toml for rows to train on. Raises BackstayError for a target that cannot be learned.

    Args:
        task: "classification", "regression" or "multilabel"; None proposes regression for a target of many different
            fractions, and multilabel for one of lists. Many whole numbers with few rows each are refused with None.
    """
    size = size_for(source) if source.is_dir() else None
    table = read(source, image_size=size)
    if target == "y" and source.suffix == ".npz" and "y" not in table.column_names:
        target = "label"  # what the array y is called once it is a column
    seen = _look(table, target=target, time=time, group=group, task=task)
    if task is None and seen.task == "classification":
        refuse_undecided(table.column(seen.target), seen.target)
    policy = project_text.value_policy() if seen.task == "regression" else []
    return "\n".join(
        [
            *project_text.top(name or _model_name(source), table.num_rows, seen),
            *project_text.data(source, folder, seen, image_size=size),
            *project_text.split(seen),
            *policy,
            *project_text.rest(),
        ]
    )


def propose_adoption(
    reference: Path,
    *,
    target: str,
    predictions_only: bool = False,
    folder: Path | None = None,
    row_id: str | None = None,
    time: str | None = None,
    group: str | None = None,
    prediction: str | None = None,
    score: str | None = None,
    positive: str | None = None,
    slices: Sequence[str] | None = None,
    name: str | None = None,
    task: str | None = None,
    features: Sequence[str] | None = None,
) -> str:
    """The text of backstay.toml for a model that is already live, from rows on which it is known to be well.

    Args:
        predictions_only: the model itself stays elsewhere; `prediction` and `score` name columns of its answers.
        positive: the class that `score` is the probability of.
        task: "classification", "regression" or "multilabel"; None proposes what the target suggests.
        features: the columns that the model reads, in its order, where it says so itself.
    """
    table = read(reference)
    for column in features or ():
        _named(table, column, "the model")
    answers = [n for n in (prediction, score) if n]
    if predictions_only:
        prediction = prediction or "prediction"
        answers = [prediction, *([score] if score else [])]
        for column in answers:
            _named(table, column, "the model's answers")
    seen = _look(
        table,
        target=target,
        time=time,
        group=group,
        row_id=row_id,
        slices=slices,
        leave_out=answers,
        bare=predictions_only,
        task="classification" if predictions_only else task,
        features=features,
    )
    if predictions_only and seen.id is None:
        raise BackstayError(
            f"{reference} has no column of ids, by which predictions and labels are joined", fix="name one with --id"
        )
    lines = project_text.top(name or _model_name(reference), table.num_rows, seen, predictions_only=predictions_only)
    lines += project_text.data(reference, folder, seen, list_features=predictions_only or features is not None)
    if predictions_only or ((prediction or score) and seen.id is not None):
        lines += project_text.predictions(seen, prediction or "prediction", score, positive)
    return "\n".join(
        [*lines, *(project_text.value_policy() if seen.task == "regression" else []), *project_text.rest()]
    )


def _look(
    table: pa.Table,
    *,
    target: str | None,
    time: str | None,
    group: str | None,
    row_id: str | None = None,
    slices: Sequence[str] | None = None,
    leave_out: Iterable[str] = (),
    bare: bool = False,
    task: str | None = "classification",
    features: Sequence[str] | None = None,
) -> Seen:
    target = target or _first(table, TARGETS)
    if target is None:
        raise BackstayError(
            f"no target was named and none is evident among {', '.join(table.column_names)}",
            fix="name it with --target",
        )
    for what, column in (("--target", target), ("--time", time), ("--group", group), ("--id", row_id)):
        if column is not None:
            _named(table, column, what)
    found_kinds = {n: kind_of(table.column(n)) for n in table.column_names}
    part = part_column(table)
    free = [n for n in table.column_names if n not in {target, time, group, row_id, part, *leave_out}]
    row_id = row_id or next((n for n in free if n.lower() in IDS and _unique(table.column(n))), None)
    time = (
        time
        or next((n for n in free if n != row_id and found_kinds[n] is ColumnKind.TIME and n.lower() in TIMES), None)
        or next((n for n in free if n != row_id and found_kinds[n] is ColumnKind.TIME), None)
    )
    group = group or next((n for n in free if n not in (row_id, time) and n.lower() in GROUPS), None)
    ignored = [*leave_out, *([time] if time else [])]
    # Of a model that lives elsewhere there may be answers and labels, and no inputs.
    inputs = set(table.column_names) - {target, row_id, group, part, *ignored}
    if bare:
        # Of what such a model says of a row, its embedding is an answer, not an input.
        inputs -= {n for n in inputs if found_kinds[n] is ColumnKind.VECTOR}
    if features is None and bare and not inputs:
        features = ()
    task = task or _task_of(table.column(target))
    if task == "multilabel":
        place = table.column_names.index(target)
        table = table.set_column(place, target, sets_as_text(table.column(target), target))
    schema = infer_schema(
        table, target=target, id=row_id, group=group, features=features, ignore=ignored, task=task, watching=bare
    )
    names_rows = tuple(
        f
        for f in schema.features
        if schema.column(f).kind not in WIDE and looks_like_id(_typed(table, schema.column(f)), schema.column(f).kind)
    )
    # Of many rows such a column is a text by the number of its values, and left out beside others.
    keys = tuple(
        c.name
        for c in schema.columns
        if c.kind is ColumnKind.TEXT
        and c.name not in (*schema.features, target, row_id, time, group, part)
        and _unique(table.column(c.name))
        and words_of(table.column(c.name)) <= 1.0
    )
    # Rows of few columns may look like ids only because they are few: at least one feature stays.
    ignore = (
        names_rows
        if features is None and len(names_rows) < len(schema.features) and table.num_rows >= SLICE_ROWS
        else ()
    )
    if features is None and not bare and table.num_rows >= SLICE_ROWS:
        ignore = (*ignore, *keys)
    kept = tuple(f for f in schema.features if f not in ignore)
    if slices is None:
        slices = _slices(table, [c for c in schema.columns if c.name in kept])
    for column in slices:
        _named(table, column, "--slice")
    kinds = {n: schema.column(n).kind.value for n in kept}
    vector = next((c.name for c in schema.columns if c.kind is ColumnKind.VECTOR), None)
    embedding = [vector] if bare and vector else []
    known = {*kept, *ignore, *leave_out, *embedding, target, row_id, time, group, part}
    return Seen(
        target,
        row_id,
        time,
        group,
        time is not None and not _has_zone(table.column(time), time),
        kinds,
        tuple(slices),
        tuple(ignore),
        _names(table.column(target).drop_null(), task),
        kept,
        part,
        tuple(c.name for c in schema.columns if c.kind in ALONE and c.name not in (*schema.features, *ignore)),
        vector,
        task,
        unwatched(table, {name for name in known if name} if features is None else table.column_names),
        _numbers(table, [c for c in (*kept, *ignore) if schema.column(c).kind in TEXTS]),
        _judging(table, target, part),
    )


def _numbers(table: pa.Table, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    found = [(name, written_numbers(table.column(name))) for name in names]
    return tuple((name, written.fix) for name, written in found if written is not None)


def _judging(table: pa.Table, target: str, part: str | None) -> int:
    """Labelled rows of the gate under the split that is proposed."""
    labelled = table.column(target).is_valid()
    if part is None:
        return round(project_text.GATE_SHARE * int(pc.sum(labelled).as_py() or 0))
    told = pc.is_in(pa.chunked_array([words(table.column(part))]), value_set=pa.array(sorted(TEST)))
    return int(pc.sum(pc.and_(labelled.combine_chunks(), told.combine_chunks())).as_py() or 0)


def _task_of(column: pa.ChunkedArray) -> str:
    """What a target suggests by itself: lists are sets of labels, many different fractions are measured numbers."""
    if holds_lists(column):
        return "multilabel"
    return "regression" if many_fractions(column) else "classification"


def _names(column: pa.ChunkedArray, task: str) -> tuple[str, ...]:
    """Classes or labels that occur; a number has none."""
    if task == "multilabel":
        return labels_of(column.to_pylist())
    return () if task == "regression" else tuple(sorted(set(class_texts(column).tolist())))


def _typed(table: pa.Table, column: Column) -> pa.ChunkedArray:
    return as_kind(table.column(column.name), column)


def _named(table: pa.Table, column: str, what: str) -> None:
    if column not in table.column_names:
        raise BackstayError(
            f"{what} names the column {column!r}, which is not there", fix=nearest(column, table.column_names)
        )


def _first(table: pa.Table, names: Sequence[str]) -> str | None:
    lower = {n.lower(): n for n in reversed(table.column_names)}
    return next((lower[n] for n in names if n in lower), None)


def _unique(column: pa.ChunkedArray) -> bool:
    if isinstance(column.type, pa.BaseExtensionType) or pa.types.is_nested(column.type) or column.null_count:
        return False
    return bool(pc.count_distinct(column).as_py() == len(column))


def _has_zone(column: pa.ChunkedArray, name: str) -> bool:
    try:
        moments(column, name)
    except BackstayError:
        return False
    return True


def _slices(table: pa.Table, columns: Sequence[Column]) -> tuple[str, ...]:
    """Categories with few values, each in enough rows to be judged; the fewest values first."""
    found = []
    for place, column in enumerate(columns):
        if column.kind not in (ColumnKind.CATEGORY, ColumnKind.BOOLEAN):
            continue
        counts = [c["counts"] for c in pc.value_counts(_typed(table, column).combine_chunks()).to_pylist()]
        if 2 <= len(counts) <= SLICE_VALUES and min(counts) >= SLICE_ROWS:
            found.append((len(counts), place, column.name))
    return tuple(name for _, _, name in sorted(found)[:MOST_SLICES])


def _model_name(source: Path) -> str:
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else "-" for c in Path(source).resolve().stem)
    return stem.lstrip("_.-")[:64] or "model"
