"""The journal of a project: what was predicted, what was said of it. The first row of an id counts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from backstay.bundle.inputs import table_from
from backstay.bundle.manifest import Manifest
from backstay.journal.blanking import blank_feedback
from backstay.journal.entries import Feedback, Predictions, array, unpack
from backstay.journal.parts import from_table, write_part
from backstay.journal.rows import Rows, first_of_each
from backstay.journal.segment import frames, in_use
from backstay.journal.writer import SEGMENTS
from backstay.kernel.errors import BackstayError

PARTS = "parts"
FORGOTTEN = "forgotten.json"
EPOCH = np.datetime64(0, "us")


class Journal:
    """Reads and keeps the log in this folder."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def rows(
        self,
        model: str,
        environment: str,
        *,
        release: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        manifests: Mapping[str, Manifest] | None = None,
    ) -> Rows:
        """Logged predictions in the order of their time, each id once.

        Args:
            manifests: by release id: how logged tensors become columns. Rows of releases without one have no inputs.
        """
        parts = [from_table(_read(path)) for path in self._parts(model, environment)]
        parts += self._from_segments(self._segments("p"), model, environment, manifests or {})
        parts, duplicates = first_of_each(parts)
        # Each part is narrowed down before they are joined: releases may differ in what they score and embed.
        chosen = [self._without_forgotten(part) for part in parts]
        if release is not None:
            chosen = [part.of_release(release) for part in chosen]
        if since is not None or until is not None:
            earliest, latest = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
            chosen = [part.between(since or earliest, until or latest) for part in chosen]
        found = Rows.concat(chosen)
        return replace(found.take(np.argsort(found.times, kind="stable").astype(np.int64)), duplicates=duplicates)

    def add(self, rows: Rows, *, model: str, environment: str) -> None:
        """Add rows that were predicted elsewhere: all, or none when an id was logged before."""
        known = set(self.ids(model, environment))
        repeated = [str(i) for i in rows.ids if str(i) in known]
        if repeated:
            raise BackstayError(
                f"{len(repeated)} of {len(rows)} ids were logged before (the first is {repeated[0]!r}); "
                "nothing was added",
                fix="leave these rows out, or give them ids of their own",
            )
        write_part(self.directory / PARTS / model / environment, rows)

    def ids(self, model: str, environment: str) -> Iterator[str]:
        """Every prediction id of this model."""
        for path in self._parts(model, environment):
            yield from pq.read_table(path, columns=["id"]).column("id").to_pylist()
        for entry in self._entries(self._segments("p")):
            if isinstance(entry, Predictions) and (entry.model, entry.environment) == (model, environment):
                yield from entry.ids

    def feedback(self, cursor: Mapping[str, int] | None = None) -> tuple[list[Feedback], dict[str, int]]:
        """Feedback that came in behind this cursor, and the cursor behind it: kept by the caller, each is read once."""
        fresh: list[Feedback] = []
        places = dict(cursor or {})
        for path in self._segments("f"):
            for payload, offset in frames(path, places.get(path.name, 0)):
                entry = unpack(payload)
                if isinstance(entry, Feedback):
                    fresh.append(entry)
                places[path.name] = offset
        return fresh, places

    def compact(self, manifests: Mapping[str, Manifest]) -> int:
        """Turn segments that no server writes any more into Parquet; answers how many. Safe to kill at any point.

        A segment goes only after its rows are on disk as Parquet; if both are there, the first row of an id counts.
        """
        done = 0
        for path in self._segments("p"):
            if in_use(path):
                continue
            entries = [e for e in self._entries([path]) if isinstance(e, Predictions)]
            if any(e.inputs and e.release not in manifests for e in entries):
                # Without its manifest a tensor cannot become columns: better a segment kept than inputs lost.
                continue
            for number, (model, environment, release) in enumerate(sorted({_scope(e) for e in entries})):
                own = [e for e in entries if _scope(e) == (model, environment, release)]
                rows = self._without_forgotten(_rows(own, manifests.get(release)).first_wins())
                if len(rows):
                    # Named after its segment: a compaction that was killed and is done again writes the same file.
                    name = f"part-{path.stem}-{number}"
                    write_part(self.directory / PARTS / model / environment, rows, name=name)
            path.unlink()
            done += 1
        if not self.unfinished():
            # Nothing holds a forgotten row any more, so their ids need not be known either.
            (self.directory / FORGOTTEN).unlink(missing_ok=True)
        return done

    def forget(self, model: str, environment: str, *, ids: Iterable[str] = (), groups: Iterable[str] = ()) -> int:
        """Erase rows by id or group from what is on file; rows still held by a running server are hidden at once.

        Answers how many ids were erased.
        """
        wanted_groups = set(groups)
        gone = set(ids)
        for path in self._parts(model, environment):
            rows = from_table(_read(path))
            gone |= _of_groups(rows, wanted_groups)
        for entry in self._entries(self._segments("p")):
            if isinstance(entry, Predictions) and entry.groups is not None:
                gone |= {i for i, g in zip(entry.ids, entry.groups, strict=True) if g in wanted_groups}
        self._remember_forgotten(gone)
        for path in self._parts(model, environment):
            rows = from_table(_read(path))
            kept = self._without_forgotten(rows)
            if len(kept) < len(rows):
                if len(kept):
                    write_part(path.parent, kept)
                path.unlink()
        for path in self._segments("f"):
            if not in_use(path):
                blank_feedback(path, gone)
        return len(gone)

    def unfinished(self) -> int:
        """How many segments of predictions are not compacted: a server writes them, or no manifest explains them."""
        return len(self._segments("p"))

    def _remember_forgotten(self, ids: set[str]) -> None:
        path = self.directory / FORGOTTEN
        known = self._forgotten() | ids
        self.directory.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".tmp")
        fresh.write_text(json.dumps(sorted(known)))
        handle = os.open(fresh, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
        fresh.replace(path)

    def _forgotten(self) -> set[str]:
        path = self.directory / FORGOTTEN
        return set(json.loads(path.read_text())) if path.exists() else set()

    def _without_forgotten(self, rows: Rows) -> Rows:
        gone = self._forgotten()
        if not gone or not len(rows):
            return rows
        return rows.take(np.array([str(i) not in gone for i in rows.ids], dtype=np.bool_))

    def _segments(self, kind: str) -> list[Path]:
        folder = self.directory / SEGMENTS
        return sorted(folder.glob(f"{kind}-*.seg")) if folder.is_dir() else []

    def _parts(self, model: str, environment: str) -> list[Path]:
        folder = self.directory / PARTS / model / environment
        return sorted(folder.glob("part-*.parquet")) if folder.is_dir() else []

    def _entries(self, segments: Iterable[Path]) -> Iterator[Predictions | Feedback]:
        for path in segments:
            for payload, _ in frames(path):
                yield unpack(payload)

    def _from_segments(
        self, segments: Iterable[Path], model: str, environment: str, manifests: Mapping[str, Manifest]
    ) -> list[Rows]:
        """Rows of these segments, joined by release so that tensors are turned into columns in few steps."""
        by_release: dict[str, list[Predictions]] = {}
        for entry in self._entries(segments):
            if isinstance(entry, Predictions) and (entry.model, entry.environment) == (model, environment):
                by_release.setdefault(entry.release, []).append(entry)
        return [_rows(entries, manifests.get(release)) for release, entries in by_release.items()]


def _scope(entry: Predictions) -> tuple[str, str, str]:
    return entry.model, entry.environment, entry.release


def _rows(entries: list[Predictions], manifest: Manifest | None) -> Rows:
    """Answers of one release as rows."""
    sizes = [len(e.ids) for e in entries]
    times = np.repeat(np.array([e.at for e in entries], dtype="int64"), sizes)
    grouped = any(e.groups is not None for e in entries)
    return Rows(
        ids=_flat(e.ids for e in entries),
        times=EPOCH + times.astype("timedelta64[us]"),
        releases=np.full(sum(sizes), entries[0].release, dtype=object),
        predictions=_flat(e.labels for e in entries),
        scores=_tensors([e.scores for e in entries]),
        embeddings=_tensors([e.embeddings for e in entries]),
        groups=_flat(e.groups or [None] * len(e.ids) for e in entries) if grouped else None,
        inputs=_inputs(entries, sizes, manifest),
    )


def _inputs(entries: list[Predictions], sizes: list[int], manifest: Manifest | None) -> pa.Table | None:
    if manifest is None or not all(e.inputs for e in entries):
        return None
    names = [spec.name for spec in manifest.inputs]
    table = table_from(manifest, {n: np.concatenate([array(e.inputs[n]) for e in entries]) for n in names})
    for name in sorted({c for e in entries for c in e.context} - set(table.column_names)):
        values = [v for e, size in zip(entries, sizes, strict=True) for v in e.context.get(name, [None] * size)]
        table = table.append_column(name, pa.array(values, pa.string()))
    return table


def _tensors(values: list[Any]) -> npt.NDArray[np.float32] | None:
    if any(v is None for v in values):
        return None
    return np.concatenate([array(v) for v in values]).astype(np.float32)


def _flat(lists: Iterable[list[Any]]) -> npt.NDArray[np.object_]:
    flat = [v for some in lists for v in some]
    found = np.empty(len(flat), dtype=object)
    found[:] = flat
    return found


def _of_groups(rows: Rows, groups: set[str]) -> set[str]:
    if rows.groups is None or not groups:
        return set()
    return {str(i) for i, g in zip(rows.ids, rows.groups, strict=True) if g in groups}


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise BackstayError(f"the log file {path} cannot be read ({error})", fix="restore it from a backup") from error
