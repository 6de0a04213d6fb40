"""Turn finished segments and imports into one Parquet file a day, in steps that a kill cannot leave half done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from backstay.bundle.manifest import Manifest
from backstay.journal.answers import entries_of, rows_by_release, scope_of
from backstay.journal.entries import Predictions
from backstay.journal.layout import DayFile, Layout, tag_of, without
from backstay.journal.parts import from_table, read_table
from backstay.journal.rows import Rows, first_of_each
from backstay.journal.segment import in_use
from backstay.journal.switch import Switch
from backstay.journal.tally import FILE as TALLY
from backstay.journal.tally import Tally

MOST_ROWS = 1_000_000
"""Rows of a file; another one of the same day is begun beyond."""
PARQUET = ".parquet"
BATCH_BYTES = 256 * 2**20
"""Log files that are held in memory together."""
Scope = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is not sorted by day yet, with its rows by model and environment."""

    path: Path
    rows: tuple[tuple[Scope, Rows], ...]


def compact(layout: Layout, manifests: Mapping[str, Manifest]) -> int:
    """Sort what no server writes any more into files of one day; answers how many segments that were.

    The first row of an id counts, over all days; the others are counted and dropped. Each step takes up some files
    and is one switch: killed before it nothing has changed, killed after it nothing is left to do.
    """
    done = 0
    for batch in _batches(_waiting(layout)):
        sources = [s for s in (_source(path, manifests) for path in batch) if s is not None]
        switch = Switch(layout.directory)
        for scope in sorted({scope for source in sources for scope, _ in source.rows}):
            _sort_in(layout, scope, [rows for s in sources for own, rows in s.rows if own == scope], switch)
        for source in sources:
            switch.drop(source.path)
        switch.commit()
        done += sum(source.path.suffix != PARQUET for source in sources)
    return done


def loose_rows(
    layout: Layout,
    scope: Scope,
    manifests: Mapping[str, Manifest],
    *,
    finished_only: bool = False,
) -> list[Rows]:
    """Rows of one model that are not sorted by day yet, in the order in which they were logged."""
    found = [from_table(read_table(path)) for path in layout.loose(layout.folder(*scope))]
    segments = [p for p in layout.segments("p") if not (finished_only and in_use(p))]
    return found + rows_by_release(entries_of(segments), *scope, manifests)


def settled_ids(files: Iterable[DayFile], among: Iterable[str] | None = None) -> set[str]:
    """Ids in these files, or those of them that are among some; nothing else of the files is read."""
    some = None if among is None else pa.array(sorted(among), pa.string())
    found: set[str] = set()
    for file in files:
        ids = read_table(file.path, ["id"]).column("id")
        # A year of ids is compared where it lies: to make Python's strings of them takes ten times as long.
        found.update((ids if some is None else ids.filter(pc.is_in(ids, some))).to_pylist())
    return found


def _waiting(layout: Layout) -> Iterator[Path]:
    for scope in layout.scopes():
        yield from layout.loose(layout.folder(*scope))
    yield from (path for path in layout.segments("p") if not in_use(path))


def _batches(paths: Iterable[Path]) -> Iterator[list[Path]]:
    batch: list[Path] = []
    size = 0
    for path in paths:
        batch.append(path)
        size += path.stat().st_size
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _source(path: Path, manifests: Mapping[str, Manifest]) -> Source | None:
    """The rows of one file; None where no manifest says what tensors in it mean: better kept than inputs lost."""
    if path.suffix == PARQUET:
        return Source(path, (((path.parent.parent.name, path.parent.name), from_table(read_table(path))),))
    entries = [e for e in entries_of([path]) if isinstance(e, Predictions)]
    if any(e.inputs and e.release not in manifests for e in entries):
        return None
    scopes = sorted({scope_of(e) for e in entries})
    return Source(path, tuple((s, rows) for s in scopes for rows in rows_by_release(entries, *s, manifests)))


def _sort_in(layout: Layout, scope: Scope, fresh: Sequence[Rows], switch: Switch) -> None:
    """Put rows of one model into the files of their days."""
    folder = layout.folder(*scope)
    files = layout.days(folder)
    gone = layout.forgotten(*scope)
    kept, dropped = first_of_each([without(rows, gone) for rows in fresh], settled_ids(files))
    if dropped:
        tally = Tally.read(folder)
        switch.put_json(folder / TALLY, replace(tally, duplicates=tally.duplicates + dropped).to_json())
    numbers: dict[date, int] = {}
    for (day, tag), rows in _by_day(kept).items():
        of_day = [f for f in files if f.day == day]
        last = max((f for f in of_day if f.tag == tag), key=lambda f: f.number, default=None)
        following = numbers.get(day, max((f.number for f in of_day), default=-1) + 1)
        if last is not None and pq.read_metadata(last.path).num_rows < MOST_ROWS:
            # The day's last file is written anew with the fresh rows behind its own, under the same name.
            rows = Rows.concat([from_table(read_table(last.path)), rows])
            places = [last.number]
        else:
            places = []
        rows = rows.take(np.argsort(rows.times, kind="stable").astype(np.int64))
        for start in range(0, len(rows), MOST_ROWS):
            if not places:
                places, following = [following], following + 1
            chunk = rows.take(np.arange(start, min(start + MOST_ROWS, len(rows)), dtype=np.int64))
            switch.put_rows(DayFile.of(folder, day, places.pop(), tag).path, chunk)
        numbers[day] = following


def _by_day(parts: Sequence[Rows]) -> dict[tuple[date, str], Rows]:
    """Rows by UTC day and by what is logged of them, in the order in which they come."""
    found: dict[tuple[date, str], list[Rows]] = {}
    for part in parts:
        days = part.times.astype("datetime64[D]")
        for release in dict.fromkeys(part.releases.tolist()):
            own = np.asarray(part.releases == release, dtype=np.bool_)
            for day in np.unique(days[own]):
                rows = part.take(own & (days == day))
                found.setdefault((day.item(), tag_of(rows)), []).append(rows)
    return {key: Rows.concat(rows) for key, rows in found.items()}
