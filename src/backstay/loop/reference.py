"""What a release is compared with: its reference rows as the monitor and the gate see them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.inputs import vector_values
from backstay.bundle.model import Outputs
from backstay.journal.importing import rows_from, utc_times
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Release, Schema, Task
from backstay.loop import numbers, sets
from backstay.loop.examples import keep, learned_from, target_of, text, texts
from backstay.loop.gate_case import GateRows
from backstay.loop.value_gating import numbers_of
from backstay.loop.workspace import USE_COLUMN, Workspace
from backstay.maths.classification import declined
from backstay.monitor.inputs import columns_of
from backstay.monitor.reference import Reference, fit_reference
from backstay.monitor.traits import image_traits

NOT_LEARNED_FROM = ("gate", "")


def with_use(table: pa.Table, schema: Schema, uses: list[str]) -> tuple[pa.Table, Schema]:
    """The same rows with a column that says what each was used for ("train", "tune" or "gate")."""
    column = Column(USE_COLUMN, ColumnKind.CATEGORY)
    wider = Schema(
        columns=(*schema.columns, column),
        features=schema.features,
        target=schema.target,
        id=schema.id,
        time=schema.time,
        group=schema.group,
    )
    return table.append_column(USE_COLUMN, pa.array(uses, pa.string())), wider


def uses_of(table: pa.Table) -> npt.NDArray[np.object_]:
    """What each reference row was used for; "" for rows that no model of ours has learned from."""
    if USE_COLUMN not in table.column_names:
        return np.full(table.num_rows, "", dtype=object)
    return np.array([v or "" for v in table.column(USE_COLUMN).to_pylist()], dtype=object)


def reference_of(ws: Workspace, release: Release) -> Reference:
    """The release's reference rows with the live model's own answers to them."""
    if release.reference_id is None:
        raise BackstayError(
            f"release {release.sequence} has no reference rows",
            fix="adopt with --reference, or promote a model with one",
        )
    table, schema = ws.rows_of(release.reference_id)
    record = ws.model_record(release.model_id)
    if record.bundle is None:
        rows = rows_from(table, ws.settings.predictions, ws.settings.data.time_zone, classes=record.classes)
        outputs = Outputs(rows.predictions, rows.scores, rows.embeddings)
    else:
        outputs = ws.load_model(record).predict(table)
    judged, limit = np.isin(uses_of(table), NOT_LEARNED_FROM), None
    none_label, target = ws.none_label(record), target_of(schema)
    truth: npt.NDArray[np.object_] | None = None
    if record.task is Task.REGRESSION:
        correct, limit = numbers.right_within(table.column(target), target, numbers_of(outputs), judged)
    else:
        truth = texts(table, target)
        correct = np.array(
            [
                float(p == t or declined(p, t, record.classes, none_label))
                for p, t in zip(outputs.labels, truth, strict=True)
            ]
        )
        correct[~judged] = np.nan
    view = views(table, schema, outputs)
    of_sets = record.task is Task.MULTILABEL
    # A number and a set are no class: one word stands for all, and the answers themselves stand beside it.
    words = None if limit is None else numbers.one_word(table.num_rows)
    words = sets.one_word(table.num_rows) if of_sets else words
    reference = fit_reference(
        outputs.labels if words is None else words,
        record.classes or None if words is None else None,
        representation=view.representation,
        scores=None if of_sets else outputs.scores,
        correct=correct,
        groups=None if schema.group is None else texts(table, schema.group),
        columns=view.columns,
        traits=view.traits,
        none_label=none_label,
        slices=slices_of(ws, table),
        truth=None if of_sets else truth,
        times=_times(ws, table, schema),
    )
    if of_sets:
        return sets.with_members(reference, outputs, record.classes)
    if limit is None:
        return reference
    errors = numbers.gaps_of(table.column(target), target, numbers_of(outputs))
    errors = np.where(judged & np.isfinite(errors), errors, np.nan)
    return replace(reference, numbers=numbers_of(outputs), limit=limit, errors=errors)


def _times(ws: Workspace, table: pa.Table, schema: Schema) -> npt.NDArray[np.datetime64] | None:
    """When each row happened, where a season is to be told from a change."""
    if ws.settings.watch.season == "none" or schema.time is None or schema.time not in table.column_names:
        return None
    return utc_times(table.column(schema.time), schema.time, ws.settings.data.time_zone)


# Detectors that tell groups apart.
GROUPED = frozenset({"group_answers", "groups", "slices"})
# More different numbers are no groups: they would be cut by the rows at hand, elsewhere in each window.
MOST_NUMBERS = 8


def slices_of(
    ws: Workspace, table: pa.Table | None, known: Collection[str] | None = None
) -> dict[str, npt.NDArray[np.object_]]:
    """The columns of `data.slices` as text [n] with None for gaps, without those that are not there.

    None of them where no detector asks for groups. A column of more than eight different numbers is left out;
    with `known`, the columns that the reference is sliced by, all others are, whatever values the rows have.
    """
    found: dict[str, npt.NDArray[np.object_]] = {}
    for name in sliced_by(ws, table, known):
        column = table.column(name)  # type: ignore[union-attr]  # without a table there is no name
        if _numeric(column.type):
            found[name] = np.array(
                [None if v is None or v != v else f"{v:g}" for v in column.to_pylist()], dtype=object
            )
        else:
            found[name] = np.array([None if v is None else text(v) for v in column.to_pylist()], dtype=object)
    return found


def sliced_by(ws: Workspace, table: pa.Table | None, known: Collection[str] | None = None) -> list[str]:
    """Which columns of these rows `slices_of` takes."""
    if table is None or not may_slice(ws):
        return []
    names = [n for n in ws.settings.data.slices if n in table.column_names and (known is None or n in known)]
    return names if known is not None else [n for n in names if not _many_numbers(table.column(n))]


def may_slice(ws: Workspace) -> bool:
    """Whether a detector asks for groups, and the project file names columns that tell them apart."""
    return bool(ws.settings.data.slices) and not GROUPED.isdisjoint(ws.settings.watch.detectors)


def _many_numbers(column: pa.ChunkedArray) -> bool:
    if not _numeric(column.type):
        return False
    values = np.unique(column.drop_null().to_numpy())
    return bool(np.count_nonzero(values == values) > MOST_NUMBERS)


def _numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


class View:
    """Rows as the detectors take them."""

    def __init__(
        self,
        representation: npt.NDArray[np.float64] | None,
        columns: Mapping[str, npt.NDArray[np.generic]],
        traits: Mapping[str, npt.NDArray[np.float64]],
    ) -> None:
        self.representation = representation
        self.columns = columns
        self.traits = traits


def views(table: pa.Table | None, schema: Schema, outputs: Outputs) -> View:
    """Embeddings where the model gives them, otherwise pixels of an image or a vector as it is; columns by name."""
    if table is None:
        return View(_wide(outputs.embeddings), {}, {})
    image = next(
        (f for f in schema.features if schema.column(f).kind is ColumnKind.IMAGE and f in table.column_names), None
    )
    pixels = None if image is None else pixels_of(table, image)
    representation = _wide(outputs.embeddings)
    if representation is None and pixels is not None:
        representation = pixels.reshape(len(pixels), -1).astype(np.float64) / 255.0
    vector = next(
        (f for f in schema.features if schema.column(f).kind is ColumnKind.VECTOR and f in table.column_names), None
    )
    if representation is None and vector is not None:
        representation = vector_values(table.column(vector), vector, schema.column(vector).shape[0]).astype(np.float64)
    columns = {} if image is not None else columns_of(table, schema)
    return View(representation, columns, {} if pixels is None else image_traits(pixels))


def _wide(values: npt.NDArray[np.float32] | None) -> npt.NDArray[np.float64] | None:
    return None if values is None else values.astype(np.float64)


def pixels_of(table: pa.Table, name: str) -> npt.NDArray[np.uint8]:
    """An image column as one array [n, height, width, channels]."""
    column = table.column(name)
    if column.num_chunks == 0:
        return np.zeros((0, *column.type.shape), dtype=np.uint8)
    if column.null_count:
        # A row that was logged without its picture: black.
        found = np.zeros((len(column), *column.type.shape), dtype=np.uint8)
        there = column.drop_null()
        found[column.is_valid().to_numpy()] = np.concatenate([found[:0], *(c.to_numpy_ndarray() for c in there.chunks)])
        return found
    return np.concatenate([chunk.to_numpy_ndarray() for chunk in column.chunks])


def gate_rows(ws: Workspace, release: Release) -> GateRows:
    """The labelled rows of a release's reference that nothing has learned from."""
    if release.reference_id is None:
        raise BackstayError(
            f"release {release.sequence} has no reference rows to measure a successor on",
            fix="label live rows and use `backstay retrain`",
        )
    table, schema = ws.rows_of(release.reference_id)
    unseen = np.flatnonzero(np.isin(uses_of(table), NOT_LEARNED_FROM))
    chosen = table.take(pa.array(unseen))
    if USE_COLUMN in chosen.column_names:
        chosen = chosen.drop_columns([USE_COLUMN])
        schema = without_use(schema)
    schema = learned_from(ws, schema)
    version = keep(ws, chosen, schema, source=f"{release.reference_id}#gate", role="gate")
    outputs = None
    record = ws.model_record(release.model_id)
    if record.bundle is None:
        rows = rows_from(chosen, ws.settings.predictions, ws.settings.data.time_zone, classes=record.classes)
        outputs = Outputs(rows.predictions, rows.scores, rows.embeddings)
    return GateRows(chosen, schema, version.id, outputs)


def without_use(schema: Schema) -> Schema:
    """The schema of the same rows without the column that says what each was used for."""
    return replace(schema, columns=tuple(c for c in schema.columns if c.name != USE_COLUMN))
