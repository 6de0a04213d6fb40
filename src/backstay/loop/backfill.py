"""Judging a past that was never logged: files of any size, streamed, window by window, resumable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from backstay.data.batches import Batches
from backstay.journal.importing import rows_from, utc_times
from backstay.journal.rows import Rows
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import ModelRecord, Release, Schema, Task, WindowResult
from backstay.loop.examples import texts
from backstay.loop.lookup import window_results
from backstay.loop.watch import Watched, commit, detectors_of, window_data, with_numbers
from backstay.loop.workspace import Workspace
from backstay.monitor.fitted import Detectors
from backstay.monitor.memory import Memory
from backstay.monitor.sketch import WindowSketch
from backstay.monitor.watch import watch_window
from backstay.monitor.windows import stamp


def backfill(ws: Workspace, source: Path) -> Watched:
    """Judge the rows of a file or folder of Parquet as windows of the live release, oldest first.

    Memory holds one sketch a window, whatever the rows. Each window is committed with the detectors' memory, so that
    a run that was stopped goes on where it ended: windows that were judged before are read over and not counted twice.
    The rows are not logged: labels that come for them later find nothing.

    Raises BackstayError where no time column is known, or rows belong to groups.
    """
    if ws.settings.watch.windows != "time":
        raise BackstayError(
            f'a backfill cuts by time, and watch.windows is "{ws.settings.watch.windows}"',
            fix='log the rows (`backstay log`) and watch them, or set watch.windows = "time"',
        )
    release = ws.champion()
    if ws.model_record(release.model_id).task is Task.REGRESSION:
        raise BackstayError(
            "a backfill of a model that answers numbers is not built",
            fix="log the rows with `backstay predict --log`, or judge one window of them with `backstay watch --rows`",
        )
    key = f"watch/{ws.name}/{ws.environment}/{release.id}"
    detectors = detectors_of(ws, key, release)
    state = ws.catalog.get_state(key)
    memory = None if state is None else Memory.from_json(state)
    anchor = release.created_at if memory is None else memory.started
    period = timedelta(days=ws.settings.watch.window_days)
    sketches, notes = _sketched(_Reading(ws, release), Batches.of(_place(ws, source)), detectors, anchor, period)
    if not sketches:
        return Watched((), None, 0, notes=tuple(notes))
    memory = memory or Memory.start(release.id, anchor + min(sketches) * period)
    done: list[WindowResult] = []
    with ws.progress.step("windows", total=len(sketches)) as tick:
        for start, end, sketch in _thick(sketches, anchor, period, ws.settings.watch.minimum_rows):
            tick()
            if memory.last_end is not None and start < memory.last_end:
                notes.append(f"{sketch.rows} rows lie in windows that were judged before: not counted again")
                continue
            result, memory = watch_window(memory, sketch.window(start, end), detectors, ws.settings, ws.clock)
            commit(ws, key, release, result, memory)
            done.append(result)
    history = window_results(ws, release.id)
    return Watched(tuple(done), history[-1] if history else None, 0, notes=tuple(dict.fromkeys(notes)))


@dataclass(frozen=True)
class _Reading:
    """What turns a batch of the file into answered rows of the live model."""

    ws: Workspace
    release: Release

    @property
    def record(self) -> ModelRecord:
        return self.ws.model_record(self.release.model_id)

    @property
    def schema(self) -> Schema:
        return self.ws.rows_of(str(self.release.reference_id))[1]

    def rows(self, source: Batches) -> Iterator[Rows]:
        """Answered rows, a batch at a time: as the file has them, or as the model answers now."""
        ws, record, schema = self.ws, self.record, self.schema
        zone, names = ws.settings.data.time_zone, ws.settings.predictions
        time = names.time if record.bundle is None else schema.time
        if time is None:
            raise BackstayError(
                "a backfill needs the time of each row",
                fix="name the column as predictions.time" if record.bundle is None else "name the column as data.time",
            )
        model = None if record.bundle is None else ws.load_model(record)
        first = 0
        for table in source.read():
            if model is None:
                yield rows_from(table, names, zone, classes=record.classes)
                continue
            outputs = model.predict(table)
            yield Rows(
                ids=np.array([f"row-{i}" for i in range(first, first + table.num_rows)], dtype=object),
                times=utc_times(table.column(time), time, zone),
                releases=np.full(table.num_rows, self.release.id, dtype=object),
                predictions=outputs.labels,
                scores=outputs.scores,
                embeddings=outputs.embeddings,
                groups=texts(table, schema.group) if schema.group and schema.group in table.column_names else None,
                inputs=table,
            )
            first += table.num_rows


def _sketched(
    reading: _Reading, source: Batches, detectors: Detectors, anchor: datetime, period: timedelta
) -> tuple[dict[int, WindowSketch], list[str]]:
    """A sketch for each period after (or before, negative) the anchor."""
    sketches: dict[int, WindowSketch] = {}
    notes: list[str] = []
    length = np.timedelta64(period, "us")
    schema = reading.schema
    with reading.ws.progress.step("rows", total=source.rows) as tick:
        for rows in reading.rows(source):
            tick(len(rows))
            sound, said = with_numbers(rows)
            notes += said
            numbers = (sound.times.astype("datetime64[us]") - stamp(anchor)) // length
            for number in np.unique(numbers).tolist():
                inside = sound.take(np.asarray(numbers == number))
                start = anchor + number * period
                data = window_data(inside, start, start + period, schema, ())
                before = sketches.get(number, WindowSketch.empty(detectors))
                sketches[number] = before.add(data, detectors)
    return sketches, notes


def _thick(
    sketches: dict[int, WindowSketch], anchor: datetime, period: timedelta, minimum: int
) -> Iterator[tuple[datetime, datetime, WindowSketch]]:
    """Windows oldest first; one with too few rows is joined to the next, the last one to nothing."""
    held: WindowSketch | None = None
    start: datetime | None = None
    for number in sorted(sketches):
        sketch = sketches[number] if held is None else held.merge(sketches[number])
        start = start or anchor + number * period
        end = anchor + (number + 1) * period
        if sketch.rows < minimum and number != max(sketches):
            held = sketch
            continue
        yield start, end, sketch
        held, start = None, None


def _place(ws: Workspace, source: Path) -> Path:
    return source if source.is_absolute() or source.exists() else ws.root / source
