"""The log of one release, of which no more is read than is asked for.

Of every row its time is known, and whether it can be judged: eight bytes and one. The rest of a row (ids, scores,
embeddings, inputs) is read from its file when it is wanted, and looks as it would beside all others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backstay.bundle.manifest import Manifest
from backstay.journal.answers import entries_of, rows_by_release
from backstay.journal.layout import DayFile, Layout
from backstay.journal.parts import INPUT, Head, finite_in, from_table, head_of, read_table, some_finite
from backstay.journal.rows import Mask, Rows, firsts
from backstay.journal.shape import Shape, usual_width

Places = npt.NDArray[np.int64]
PLAIN = ("id", "time", "release", "prediction", "group", "latency_ms")


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Rows of the release in one file of the log, or those of all segments that are alike.

    Args:
        head: of the file, or of the rows. own: places of the release's rows in it. file: None for `rows` in memory.
    """

    head: Head
    own: Places
    times: npt.NDArray[np.datetime64]
    file: Path | None = None
    rows: Rows | None = None

    @staticmethod
    def held(rows: Rows, own: Places | None = None) -> Piece:
        """Rows that are in memory, all or some."""
        optional = {"group": rows.groups, "latency_ms": rows.latencies}
        head = Head(
            rows=len(rows),
            columns=tuple(name for name, values in optional.items() if values is not None),
            scores=None if rows.scores is None else rows.scores.shape[1],
            embeddings=None if rows.embeddings is None else rows.embeddings.shape[1],
            inputs=None if rows.inputs is None else rows.inputs.schema,
            finite={"scores": some_finite(rows.scores), "embedding": some_finite(rows.embeddings)},
        )
        places = np.arange(len(rows), dtype=np.int64) if own is None else own
        return Piece(head, places, rows.times[places], rows=rows)

    def __len__(self) -> int:
        return len(self.own)

    @property
    def place(self) -> Path:
        """The file, of rows that are not in memory."""
        if self.file is None:
            raise ValueError("these rows are in no file")
        return self.file

    def finite(self, name: str) -> Mask | None:
        """Which of the rows have numbers as "scores" or "embedding"; None where all have."""
        if name in self.head.finite:
            found = self.head.finite[name]
        else:
            found = None if self.file is None else finite_in(self.file, name)
        return None if found is None else found[self.own]

    def read(self, chosen: Places | None, columns: list[str] | None) -> Rows:
        """Some of the rows, of all or some columns of the file."""
        places = self.own if chosen is None else self.own[chosen]
        rows = from_table(read_table(self.place, columns)) if self.rows is None else self.rows
        return rows if len(places) == len(rows) else rows.take(places)

    def ids(self) -> pa.ChunkedArray:
        """Prediction ids of the rows, as Arrow has them: a million of Python's would be large."""
        if self.rows is not None:
            return pa.chunked_array([pa.array(self.rows.ids[self.own].tolist(), pa.string())])
        found = read_table(self.place, ["id"]).column("id")
        return found if len(found) == len(self.own) else found.take(pa.array(self.own))


class ReleaseLog:
    """Rows of a release in the order of their time; the files must stand still as long as rows are read.

    Args:
        chosen: places of the rows among those of all pieces, one piece after the other.
    """

    def __init__(
        self, pieces: Sequence[Piece], shape: Shape, chosen: Places, times: npt.NDArray[np.datetime64]
    ) -> None:
        self._pieces, self._shape, self._chosen = pieces, shape, chosen
        self._begins = np.cumsum([0, *(len(piece) for piece in pieces)])
        self._opened: dict[int, Rows] = {}
        self.times = times

    def __len__(self) -> int:
        return len(self._chosen)

    @staticmethod
    def of(pieces: Sequence[Piece]) -> ReleaseLog:
        """All rows of these pieces, of one release."""
        pieces = [piece for piece in pieces if len(piece)]
        times = np.concatenate([np.empty(0, "datetime64[us]"), *(piece.times for piece in pieces)])
        order = np.argsort(times, kind="stable").astype(np.int64)
        shape = Shape.of(
            _usual([(piece.head.scores, len(piece)) for piece in pieces]),
            _usual([(piece.head.embeddings, len(piece)) for piece in pieces]),
            [(piece.head.inputs, len(piece)) for piece in pieces],
            groups=any("group" in piece.head.columns for piece in pieces),
            latencies=any("latency_ms" in piece.head.columns for piece in pieces),
        )
        return ReleaseLog(pieces, shape, order, times[order])

    def take(self, chosen: Mask) -> ReleaseLog:
        """Those rows alone."""
        return ReleaseLog(self._pieces, self._shape, self._chosen[chosen], self.times[chosen])

    def sound(self) -> Mask:
        """Rows whose scores and embeddings, where they have any, are numbers: only these are judged."""
        sound = np.ones(int(self._begins[-1]), dtype=np.bool_)
        for begin, piece in zip(self._begins, self._pieces, strict=False):
            for name, width, usual in (
                ("scores", piece.head.scores, self._shape.scores),
                ("embedding", piece.head.embeddings, self._shape.embeddings),
            ):
                # Of another width than most they count as not there, which is no fault of the row.
                if width is not None and width == usual and (finite := piece.finite(name)) is not None:
                    sound[begin : begin + len(piece)] &= finite
        return np.asarray(sound[self._chosen], dtype=np.bool_)

    def between(self, start: datetime, end: datetime) -> Rows:
        """Rows of [start, end), whole. Files that are read stay in memory until others are."""
        low, high = np.searchsorted(self.times, [_stamp(start), _stamp(end)])
        wanted = self._by_piece(self._chosen[low:high])
        self._opened = {
            at: self._opened[at] if at in self._opened else self._pieces[at].read(None, None) for at, _ in wanted
        }
        return self._joined([self._opened[at].take(places) for at, places in wanted], self._shape)

    def of_ids(self, ids: Collection[str], *, inputs: Collection[str] | None = None, embeddings: bool = True) -> Rows:
        """The rows of these ids, those that are here.

        Args:
            inputs: the input columns that are wanted; None for all.
            embeddings: whether they are wanted.
        """
        shape = self._narrow(inputs, embeddings)
        some = pa.array(sorted(ids), pa.string())
        found = []
        for at, places in self._by_piece(self._chosen) if len(some) else ():
            piece = self._pieces[at]
            here = pc.is_in(piece.ids(), some).to_numpy(zero_copy_only=False)[places]
            if here.any():
                columns = _columns(piece.head, inputs, embeddings)
                found.append(_without(piece.read(places[here], columns), inputs, embeddings))
        return self._joined(found, shape)

    def inputs(self, names: Collection[str]) -> pa.Table | None:
        """These input columns of all rows, in no order; None where none of them is there."""
        shape = self._narrow(names, False)
        if shape.inputs is None:
            return None
        tables = []
        for at, places in self._by_piece(self._chosen):
            piece = self._pieces[at]
            table = _without(piece.read(places, _columns(piece.head, names, False)), names, False).inputs
            tables.append(shape.fitted(table, len(places)))
        return pa.concat_tables(tables) if tables else None

    def ids_where(self, chosen: Mask) -> Iterator[str]:
        """Ids of the chosen rows, in no order."""
        for at, places in self._by_piece(self._chosen[chosen]):
            yield from self._pieces[at].ids().take(pa.array(places)).to_pylist()

    def _by_piece(self, chosen: Places) -> list[tuple[int, Places]]:
        """Number of each piece that has some of these, and their places in it, in order."""
        ordered = np.sort(chosen)
        cuts = np.searchsorted(ordered, self._begins)
        return [
            (at, ordered[low:high] - self._begins[at]) for at, (low, high) in enumerate(pairwise(cuts)) if high > low
        ]

    def _joined(self, parts: Sequence[Rows], shape: Shape) -> Rows:
        rows = Rows.concat(parts, shape)
        return rows.take(np.argsort(rows.times, kind="stable").astype(np.int64))

    def _narrow(self, inputs: Collection[str] | None, embeddings: bool) -> Shape:
        shape = self._shape if embeddings else replace(self._shape, embeddings=None)
        if inputs is None or shape.inputs is None:
            return shape
        kept = [kind for kind in shape.inputs if kind.name in inputs]
        return replace(shape, inputs=pa.schema(kept) if kept else None)


def pieces_of(
    layout: Layout,
    scope: tuple[str, str],
    release: str,
    manifests: Mapping[str, Manifest],
    span: tuple[datetime, datetime],
    files: Sequence[DayFile],
) -> list[Piece]:
    """The log of a release in this span. Call it while the log is being read, and read no later.

    Args:
        files: all compacted files of the model, oldest first.
    """
    gone = layout.forgotten(*scope)
    opened = [file.path for file in files if _overlaps(file, span)]
    loose = layout.loose(layout.folder(*scope))
    held = rows_by_release(entries_of(layout.segments("p")), *scope, manifests)
    fresh = [read_table(path, ["id"]).column("id") for path in loose]
    fresh += [pa.chunked_array([pa.array(rows.ids.tolist(), pa.string())]) for rows in held]
    first = _first(fresh, [file.path for file in files])
    settled = [_piece(path, release, span, gone, None) for path in opened]
    unsorted = [_piece(path, release, span, gone, mask) for path, mask in zip(loose, first, strict=False)]
    kept = [_held(rows, release, span, gone, mask) for rows, mask in zip(held, first[len(loose) :], strict=True)]
    return [*settled, *unsorted, *kept]


def _piece(
    path: Path, release: str, span: tuple[datetime, datetime], gone: frozenset[str], first: Mask | None
) -> Piece:
    head = head_of(path)
    table = read_table(path, ["time", "release", *(["id"] if gone else [])])
    own = pc.equal(table.column("release"), release).to_numpy(zero_copy_only=False)
    if gone:
        own = own & ~pc.is_in(table.column("id"), pa.array(sorted(gone), pa.string())).to_numpy(zero_copy_only=False)
    times = table.column("time").to_numpy().astype("datetime64[us]")
    return Piece(head, *_own(own, times, span, first), file=path)


def _held(rows: Rows, release: str, span: tuple[datetime, datetime], gone: frozenset[str], first: Mask | None) -> Piece:
    own = np.asarray(rows.releases == release, dtype=np.bool_)
    if gone:
        own = own & np.array([str(row_id) not in gone for row_id in rows.ids], dtype=np.bool_)
    return Piece.held(rows, _own(own, rows.times, span, first)[0])


def _own(
    own: Mask, times: npt.NDArray[np.datetime64], span: tuple[datetime, datetime], first: Mask | None
) -> tuple[Places, npt.NDArray[np.datetime64]]:
    """Places and times of the rows that count."""
    own = own & (times >= _stamp(span[0])) & (times < _stamp(span[1]))
    places = np.flatnonzero(own if first is None else own & first).astype(np.int64)
    return places, times[places]


def _first(fresh: Sequence[pa.ChunkedArray], files: Sequence[Path]) -> list[Mask | None]:
    """Which rows that are not sorted by day yet are the first of their id; None where all of a part are."""
    rows = sum(map(len, fresh))
    if not rows:
        return [None for _ in fresh]
    joined = pa.chunked_array([chunk for part in fresh for chunk in part.chunks], pa.string())
    known: set[str] = set()
    for path in files:
        there = read_table(path, ["id"]).column("id")
        # The smaller one is looked up in.
        few, many = (joined, there) if rows < len(there) else (there, joined)
        known.update(many.filter(pc.is_in(many, few.combine_chunks())).to_pylist())
    if not known and pc.count_distinct(joined).as_py() == rows:
        return [None for _ in fresh]
    return firsts([part.to_pylist() for part in fresh], known)


def _usual(widths: Sequence[tuple[int | None, int]]) -> int | None:
    """The width that most rows of the release have."""
    counts: Counter[int] = Counter()
    for width, rows in widths:
        if width is not None:
            counts[width] += rows
    return usual_width({"": counts})


def _columns(head: Head, inputs: Collection[str] | None, embeddings: bool) -> list[str]:
    """Columns of a file to read."""
    kept = {*PLAIN, "scores", *(["embedding"] if embeddings else [])}
    return [
        name
        for name in head.columns
        if name in kept or (name.startswith(INPUT) and (inputs is None or name.removeprefix(INPUT) in inputs))
    ]


def _without(rows: Rows, inputs: Collection[str] | None, embeddings: bool) -> Rows:
    """Rows that were in memory with no more than was asked for."""
    table = rows.inputs
    if table is not None and inputs is not None:
        names = [name for name in table.column_names if name in inputs]
        table = table.select(names) if names else None
    return replace(rows, inputs=table, embeddings=rows.embeddings if embeddings else None)


def _overlaps(file: DayFile, span: tuple[datetime, datetime]) -> bool:
    first, last = (at.astimezone(UTC).date() for at in span)
    return first <= file.day <= last


def _stamp(at: datetime) -> np.datetime64:
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us")
