"""The journal of a project: what was predicted, what was said of it. The first row of an id counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backstay.bundle.manifest import Manifest
from backstay.journal import compaction, retention
from backstay.journal.answers import entries_of, scope_of
from backstay.journal.entries import Feedback, Predictions, unpack
from backstay.journal.erasure import erase, erase_feedback, is_hidden
from backstay.journal.layout import FORGOTTEN, DayFile, Layout, day_of, without
from backstay.journal.parts import from_table, head_of, read_table, write_part
from backstay.journal.release_log import ReleaseLog, pieces_of
from backstay.journal.rows import Rows, first_of_each
from backstay.journal.segment import frames, in_use
from backstay.journal.switch import changing, reading
from backstay.journal.tally import FILE as TALLY
from backstay.journal.tally import Tally
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import digest

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


class Journal:
    """Reads and keeps the log in this folder."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._layout = Layout(directory)

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

        Of compacted days outside [since, until) nothing is read but ids, and those only where rows that are not
        compacted yet lie inside: an id that was logged on another day already does not count again.

        Args:
            manifests: by release id: how logged tensors become columns. Rows of releases without one have no inputs.
        """
        span = (since or EARLIEST, until or LATEST)
        folder = self._layout.folder(model, environment)
        with reading(self.directory):
            files = self._layout.days(folder)
            opened = [f for f in files if _overlaps(f, *span)]
            settled = [from_table(read_table(f.path)) for f in opened]
            loose = compaction.loose_rows(self._layout, (model, environment), manifests or {})
            gone = self._layout.forgotten(model, environment)
            before = Tally.read(folder).duplicates
            parts, duplicates = first_of_each([*settled, *loose])
            # Each part is narrowed down before they are joined: releases may differ in what they score and embed.
            chosen = [without(part, gone) for part in parts]
            if since is not None or until is not None:
                chosen = [part.between(*span) for part in chosen]
            if len(opened) < len(files) and any(len(part) for part in chosen[len(settled) :]):
                fresh = {str(i) for part in chosen[len(settled) :] for i in part.ids}
                elsewhere = compaction.settled_ids(set(files) - set(opened), fresh)
                chosen, again = first_of_each(chosen, elsewhere)
                duplicates += again
        if release is not None:
            chosen = [part.of_release(release) for part in chosen]
        found = Rows.concat(chosen)
        order = np.argsort(found.times, kind="stable").astype(np.int64)
        return replace(found.take(order), duplicates=duplicates + before)

    @contextmanager
    def log(
        self,
        model: str,
        environment: str,
        *,
        release: str,
        since: datetime | None = None,
        until: datetime | None = None,
        manifests: Mapping[str, Manifest] | None = None,
    ) -> Iterator[ReleaseLog]:
        """The rows of `rows`, each read when it is wanted: for as long as this lasts no file of the log is rearranged.

        Whoever holds it must not compact, erase or expire: that waits until the log is let go.
        """
        folder = self._layout.folder(model, environment)
        with reading(self.directory):
            span = (since or EARLIEST, until or LATEST)
            files = self._layout.days(folder)
            yield ReleaseLog.of(pieces_of(self._layout, (model, environment), release, manifests or {}, span, files))

    def add(self, rows: Rows, *, model: str, environment: str) -> None:
        """Add rows that were predicted elsewhere: all, or none.

        Raises BackstayError when an id was logged before, or when rows of a day have left the log for their age.
        """
        with changing(self.directory):
            known = set(self.ids(model, environment))
            repeated = [str(i) for i in rows.ids if str(i) in known]
            if repeated:
                raise BackstayError(
                    f"{len(repeated)} of {len(rows)} ids were logged before (the first is {repeated[0]!r}); "
                    "nothing was added",
                    fix="leave these rows out, or give them ids of their own",
                )
            until = self.tally(model, environment).until
            late = 0 if until is None else int(np.count_nonzero(rows.times < np.datetime64(until, "us")))
            if late:
                raise BackstayError(
                    f"{late} of {len(rows)} rows are from before {until}, and such rows have left the log for their "
                    "age; nothing was added",
                    fix="leave these rows out; how long rows are kept is log.keep_days",
                )
            write_part(self._layout.folder(model, environment), rows)

    def mark(self, model: str, environment: str) -> str:
        """Names the content of this model's log: the same as long as no file of it has been added to or changed."""
        folder = self._layout.folder(model, environment)
        with reading(self.directory):
            paths = [*(f.path for f in self._layout.days(folder)), *self._layout.loose(folder)]
            paths += [*self._layout.segments("p"), self.directory / FORGOTTEN, folder / TALLY]
            return digest([_stamped(path) for path in paths if path.exists()])

    def ids(self, model: str, environment: str) -> Iterator[str]:
        """Every prediction id of this model, erased ones that a server still writes among them."""
        folder = self._layout.folder(model, environment)
        with reading(self.directory):
            paths = [*(f.path for f in self._layout.days(folder)), *self._layout.loose(folder)]
            found = [str(i) for path in paths for i in read_table(path, ["id"]).column("id").to_pylist()]
            for entry in entries_of(self._layout.segments("p")):
                if isinstance(entry, Predictions) and scope_of(entry) == (model, environment):
                    found += entry.ids
        return iter(found)

    def owners(self, model: str, environment: str, ids: Collection[str]) -> dict[str, str | None]:
        """The group of each of these rows, None where it has none; those that are not logged are left out."""
        folder = self._layout.folder(model, environment)
        found: dict[str, str | None] = {}
        with reading(self.directory):
            wanted = set(ids) - self._layout.forgotten(model, environment)
            some = pa.array(sorted(wanted), pa.string())
            for path in (*(f.path for f in self._layout.days(folder)), *self._layout.loose(folder)) if wanted else ():
                table = read_table(path, ["id", *(["group"] if "group" in head_of(path).columns else [])])
                for row in table.filter(pc.is_in(table.column("id"), some)).to_pylist():
                    found.setdefault(row["id"], row.get("group"))
            for entry in entries_of(self._layout.segments("p")) if wanted else ():
                if isinstance(entry, Predictions) and scope_of(entry) == (model, environment):
                    for place, row_id in enumerate(entry.ids):
                        if row_id in wanted:
                            found.setdefault(row_id, entry.groups[place] if entry.groups is not None else None)
        return found

    def answered_by(self, model: str, environment: str, ids: Collection[str]) -> dict[str, str]:
        """The release that answered each of these rows; those that are not logged are left out."""
        folder = self._layout.folder(model, environment)
        found: dict[str, str] = {}
        with reading(self.directory):
            wanted = pa.array(sorted(ids), pa.string())
            for path in (*(f.path for f in self._layout.days(folder)), *self._layout.loose(folder)):
                table = read_table(path, ["id", "release"])
                table = table.filter(pc.is_in(table.column("id"), wanted))
                for row_id, release in zip(*(table.column(c).to_pylist() for c in ("id", "release")), strict=True):
                    found.setdefault(row_id, release)
            for entry in entries_of(self._layout.segments("p")):
                if isinstance(entry, Predictions) and scope_of(entry) == (model, environment):
                    for row_id in set(ids).intersection(entry.ids):
                        found.setdefault(row_id, entry.release)
        return found

    def feedback(self, cursor: Mapping[str, int] | None = None) -> tuple[list[Feedback], dict[str, int]]:
        """Feedback that came in behind this cursor, and the cursor behind it: kept by the caller, each is read once."""
        fresh: list[Feedback] = []
        places, gone = dict(cursor or {}), self._layout.all_forgotten()
        for path in self._layout.segments("f"):
            for payload, offset in frames(path, places.get(path.name, 0)):
                entry = unpack(payload)
                if isinstance(entry, Feedback) and not is_hidden(entry, gone):
                    fresh.append(entry)
                places[path.name] = offset
        return fresh, places

    def compact(self, manifests: Mapping[str, Manifest]) -> int:
        """Sort finished segments and imports into one Parquet file a day; answers how many segments.

        Safe to kill at any point, and to do again.
        """
        with changing(self.directory):
            done = compaction.compact(self._layout, manifests)
            erase_feedback(self._layout)
            if not self.unfinished() and not any(map(in_use, self._layout.segments("f"))):
                # Nothing holds a forgotten row any more, so their ids need not be known either.
                (self.directory / FORGOTTEN).unlink(missing_ok=True)
        return done

    def expire(
        self,
        model: str,
        environment: str,
        *,
        before: date,
        manifests: Mapping[str, Manifest],
        cursor: Mapping[str, int] | None = None,
    ) -> dict[str, int]:
        """Let rows and feedback of all UTC days before this one go; answers how many rows of which day.

        What a running server still writes stays. Safe to kill at any point, and to do again.

        Args:
            cursor: how far this model's feedback has been taken in.
        """
        with changing(self.directory):
            compaction.compact(self._layout, manifests)
            days = retention.expire(self._layout, (model, environment), before)
            retention.expire_feedback(self._layout, (model, environment), before, cursor or {})
        return days

    def to_expire(
        self, model: str, environment: str, *, before: date, manifests: Mapping[str, Manifest]
    ) -> dict[str, int]:
        """How many rows of which day `expire` would let go. Changes nothing."""
        with reading(self.directory):
            return retention.to_expire(self._layout, (model, environment), before, manifests)

    def forget(
        self,
        model: str,
        environment: str,
        *,
        ids: Iterable[str] = (),
        groups: Iterable[str] = (),
        judged: Mapping[str, int] | None = None,
        results: Iterable[str] = (),
    ) -> int:
        """Erase rows by id or group from what is on file; rows still held by a running server are hidden at once.

        Answers how many ids were erased.

        Args:
            judged: how many of these rows a monitor has counted, by release, for the tally.
            results: ids of gallery rows: who named one as found has said so no longer.
        """
        with changing(self.directory):
            return len(erase(self._layout, (model, environment), ids, groups, judged or {}, results))

    def tally(self, model: str, environment: str) -> Tally:
        """Counts of the rows that are no longer there."""
        with reading(self.directory):
            return Tally.read(self._layout.folder(model, environment))

    def unfinished(self) -> int:
        """How many segments of predictions are not compacted: a server writes them, or no manifest explains them."""
        return len(self._layout.segments("p"))

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Nothing is compacted, imported, erased or expired meanwhile; servers go on appending."""
        with changing(self.directory):
            yield


def _stamped(path: Path) -> list[str | int]:
    found = path.stat()
    return [path.name, found.st_ino, found.st_size, found.st_mtime_ns]


def _overlaps(file: DayFile, since: datetime, until: datetime) -> bool:
    return day_of(since) <= file.day <= day_of(until)
