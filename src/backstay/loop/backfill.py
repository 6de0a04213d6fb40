"""Judging a past that was never logged: files of any size, streamed, window by window, resumable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import numpy as np

from backstay.data.batches import Batches
from backstay.journal.importing import rows_from, utc_times
from backstay.journal.rows import Rows
from backstay.kernel.errors import BackstayError, nearest
from backstay.kernel.records import ModelRecord, Release, Schema, Task, WindowResult
from backstay.loop.examples import group_names
from backstay.loop.kept_rows import Gathered, empty_window
from backstay.loop.lookup import window_results
from backstay.loop.record import refuse_wrong_times
from backstay.loop.reference import slices_of
from backstay.loop.watch import Watched, commit, detectors_of, with_numbers
from backstay.loop.window_rows import window_data
from backstay.loop.workspace import Workspace
from backstay.maths.arrays import AnyArray
from backstay.monitor.fitted import Detectors
from backstay.monitor.memory import Memory
from backstay.monitor.watch import watch_window
from backstay.monitor.windows import Window, cut, stamp


def backfill(ws: Workspace, source: Path) -> Watched:
    """Judge the rows of a file or folder of Parquet as windows of the live release, oldest first.

    Memory holds one sketch a window, whatever the rows. Each window is committed with the detectors' memory, so that
    a run that was stopped goes on where it ended: windows that were judged before are read over and not counted twice.
    Windows by count or session are cut as those of the log are, from the times of all rows: these are read first, and
    8 bytes of each are held. Rows after the last window that is full, or over, wait for a file that holds more.
    Rows that belong to groups, are compared by season or are told apart by `group_answers` or `slices` are kept
    instead of sketched: memory then grows with them.
    The rows are not logged: labels that come for them later find nothing.

    Raises BackstayError where no time column is known, or a row is dated before 1990 or ahead of now.
    """
    release = ws.champion()
    if ws.model_record(release.model_id).task in (Task.REGRESSION, Task.MULTILABEL):
        what = {Task.REGRESSION: "numbers"}.get(ws.model_record(release.model_id).task, "sets of labels")
        raise BackstayError(
            f"a backfill of a model that answers {what} is not built",
            fix="log the rows with `backstay predict --log`, or judge one window of them with `backstay watch --rows`",
        )
    key = f"watch/{ws.name}/{ws.environment}/{release.id}"
    detectors = detectors_of(ws, key, release)
    state = ws.catalog.get_state(key)
    memory = None if state is None else Memory.from_json(state)
    reading, batches = _Reading(ws, release), Batches.of(_place(ws, source))
    if ws.settings.watch.windows == "time":
        anchor = release.created_at if memory is None else memory.started
        spans: _Spans = _Periods(anchor, timedelta(days=ws.settings.watch.window_days))
    else:
        spans = _Filled.of(reading.times(batches), memory, release, ws)
    sketches, notes = _sketched(reading, batches, detectors, spans)
    notes += spans.notes()
    if not sketches:
        return Watched((), None, 0, notes=tuple(dict.fromkeys(notes)))
    memory = memory or Memory.start(release.id, spans.began(min(sketches)))
    done: list[WindowResult] = []
    least = ws.settings.watch.minimum_rows if ws.settings.watch.windows == "time" else 0
    with ws.progress.step("windows", total=len(sketches)) as tick:
        for start, end, sketch in _thick(sketches, spans, least):
            tick()
            if memory.last_end is not None and start < memory.last_end:
                notes.append(f"{sketch.rows} rows lie in windows that were judged before: not counted again")
                continue
            result, memory = watch_window(memory, sketch.window(start, end), detectors, ws.settings, ws.clock)
            memory = memory.with_backfilled(start, end, sketch.rows)
            commit(ws, key, release, result, memory)
            done.append(result)
    history = window_results(ws, release.id)
    return Watched(tuple(done), history[-1] if history else None, 0, notes=tuple(dict.fromkeys(notes)))


# No number of a window: periods before the release are negative, and never so many.
NOWHERE = np.iinfo(np.int64).min


class _Spans(Protocol):
    """Which window a row lies in, by its time; windows are numbered in their order."""

    def numbers(self, times: AnyArray) -> AnyArray:
        """[n]; NOWHERE for rows that lie in no window."""

    def span(self, number: int) -> tuple[datetime, datetime]: ...

    def began(self, first: int) -> datetime:
        """Where the memory begins if it begins with this window."""

    def notes(self) -> list[str]: ...


@dataclass(frozen=True)
class _Periods:
    """Periods after (or before, negative) the anchor."""

    anchor: datetime
    period: timedelta

    def numbers(self, times: AnyArray) -> AnyArray:
        return np.asarray((times - stamp(self.anchor)) // np.timedelta64(self.period, "us"))

    def span(self, number: int) -> tuple[datetime, datetime]:
        start = self.anchor + number * self.period
        return start, start + self.period

    def began(self, first: int) -> datetime:
        return self.span(first)[0]

    def notes(self) -> list[str]:
        return []


@dataclass(frozen=True)
class _Filled:
    """Windows that rows fill, or pauses end: cut from the times of all rows together, like those of the log."""

    anchor: datetime
    windows: tuple[Window, ...]
    earlier: int
    waiting: int

    @staticmethod
    def of(times: AnyArray, memory: Memory | None, release: Release, ws: Workspace) -> _Filled:
        anchor = release.created_at if memory is None else memory.started
        if memory is None and len(times):
            anchor = times.min().item().replace(tzinfo=UTC)
        last = None if memory is None else memory.last_end
        windows = tuple(cut(times, anchor, ws.clock.now(), last, ws.settings.watch))
        earlier = int(np.count_nonzero(times < stamp(last or anchor)))
        end = windows[-1].end if windows else last or anchor
        return _Filled(anchor, windows, earlier, int(np.count_nonzero(times >= stamp(end))))

    def numbers(self, times: AnyArray) -> AnyArray:
        ends = np.array([stamp(w.end) for w in self.windows], dtype="datetime64[us]")
        found = np.searchsorted(ends, times, side="right")
        first = stamp(self.windows[0].start if self.windows else self.anchor)
        return np.where((found == len(ends)) | (times < first), NOWHERE, found)

    def span(self, number: int) -> tuple[datetime, datetime]:
        return self.windows[number].start, self.windows[number].end

    def began(self, first: int) -> datetime:
        return self.anchor

    def notes(self) -> list[str]:
        said = (
            (self.earlier, "rows lie in windows that were judged before: not counted again"),
            (self.waiting, "rows wait: the window that they lie in is not full, or not over"),
        )
        return [f"{n} {what}" for n, what in said if n]


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

    @property
    def time(self) -> str:
        """The column that holds the time of each row."""
        elsewhere = self.record.bundle is None
        # A reference may have had no times where its project names the column of those to come.
        time = self.ws.settings.predictions.time if elsewhere else self.schema.time or self.ws.settings.data.time
        if time is None:
            raise BackstayError(
                "a backfill needs the time of each row",
                fix="name the column as predictions.time" if elsewhere else "name the column as data.time",
            )
        return time

    def times(self, source: Batches) -> AnyArray:
        """The times of all rows, datetime64[us]."""
        name, zone = self.time, self.ws.settings.data.time_zone
        if name not in source.names:
            raise BackstayError(f"the rows have no column {name!r}", fix=nearest(name, source.names))
        parts = [utc_times(table.column(name), name, zone) for table in source.read([name])]
        return np.concatenate([np.empty(0, dtype="datetime64[us]"), *parts])

    def rows(self, source: Batches) -> Iterator[Rows]:
        """Answered rows, a batch at a time: as the file has them, or as the model answers now."""
        ws, record, schema = self.ws, self.record, self.schema
        zone, names = ws.settings.data.time_zone, ws.settings.predictions
        time = self.time
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
                groups=group_names(table, schema.group),
                inputs=table,
            )
            first += table.num_rows


def _sketched(
    reading: _Reading, source: Batches, detectors: Detectors, spans: _Spans
) -> tuple[dict[int, Gathered], list[str]]:
    """A sketch for each window, or its rows, by its number."""
    sketches: dict[int, Gathered] = {}
    notes: list[str] = []
    schema = reading.schema
    with reading.ws.progress.step("rows", total=source.rows) as tick:
        for rows in reading.rows(source):
            refuse_wrong_times(rows, reading.time, reading.ws.clock.now())
            tick(len(rows))
            sound, said = with_numbers(rows)
            notes += said
            numbers = spans.numbers(sound.times.astype("datetime64[us]"))
            for number in np.unique(numbers[numbers != NOWHERE]).tolist():
                inside = sound.take(np.asarray(numbers == number))
                data = window_data(inside, *spans.span(number), schema, ())
                data = replace(data, slices=slices_of(reading.ws, inside.inputs, detectors.reference.slices))
                before = sketches.get(number) or empty_window(data, detectors, reading.ws.settings)
                sketches[number] = before.add(data, detectors)
    return sketches, notes


def _thick(sketches: dict[int, Gathered], spans: _Spans, minimum: int) -> Iterator[tuple[datetime, datetime, Gathered]]:
    """Windows oldest first; one with too few rows is joined to the next, the last one to nothing."""
    held: Gathered | None = None
    start: datetime | None = None
    for number in sorted(sketches):
        sketch = sketches[number] if held is None else held.merge(sketches[number])
        begin, end = spans.span(number)
        start = start or begin
        if sketch.rows < minimum and number != max(sketches):
            held = sketch
            continue
        yield start, end, sketch
        held, start = None, None


def _place(ws: Workspace, source: Path) -> Path:
    return source if source.is_absolute() or source.exists() else ws.root / source
