"""Logged predictions in memory, a row each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.journal.shape import Shape, usual_width

Objects = npt.NDArray[np.object_]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64] | Mask


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Logged predictions.

    Args:
        ids: prediction ids [n].
        times: datetime64[us], UTC [n].
        releases: id of the release that answered [n].
        predictions: class names [n].
        scores: float32 [n, k] in class order; embeddings: float32 [n, d]; None where no row has any.
        groups: whose rows belong together [n], None where not given.
        inputs: feature and context columns, None where no row's are logged.
        latencies: milliseconds that each row's request waited for its answer [n], NaN where not known.
        duplicates: rows dropped, now or at compaction, because their id had been seen before.
        scored, embedded, described: which rows have scores, embeddings and inputs [n]; None where all have what any
            has. In the place of what a row has not is NaN, or null: that is no fault of the row.
    """

    ids: Objects
    times: npt.NDArray[np.datetime64]
    releases: Objects
    predictions: Objects
    scores: npt.NDArray[np.float32] | None = None
    embeddings: npt.NDArray[np.float32] | None = None
    groups: Objects | None = None
    inputs: pa.Table | None = None
    duplicates: int = 0
    latencies: npt.NDArray[np.float64] | None = None
    scored: Mask | None = None
    embedded: Mask | None = None
    described: Mask | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @staticmethod
    def none() -> Rows:
        """No rows."""
        empty = np.empty(0, dtype=object)
        return Rows(empty, np.empty(0, dtype="datetime64[us]"), empty, empty)

    def take(self, chosen: Indices) -> Rows:
        """The rows at these places, or where this mask is true."""
        places = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        return Rows(
            ids=self.ids[places],
            times=self.times[places],
            releases=self.releases[places],
            predictions=self.predictions[places],
            scores=None if self.scores is None else self.scores[places],
            embeddings=None if self.embeddings is None else self.embeddings[places],
            groups=None if self.groups is None else self.groups[places],
            inputs=None if self.inputs is None else self.inputs.take(pa.array(places, pa.int64())),
            duplicates=self.duplicates,
            latencies=None if self.latencies is None else self.latencies[places],
            scored=None if self.scored is None else self.scored[places],
            embedded=None if self.embedded is None else self.embedded[places],
            described=None if self.described is None else self.described[places],
        )

    def between(self, start: datetime, end: datetime) -> Rows:
        """Rows of [start, end)."""
        return self.take((self.times >= _stamp(start)) & (self.times < _stamp(end)))

    def of_release(self, release: str) -> Rows:
        """Rows that this release answered."""
        return self.take(np.asarray(self.releases == release, dtype=np.bool_))

    def sound(self) -> Mask:
        """Rows whose scores and embeddings, where they have any, are numbers: only these are judged."""
        sound = np.ones(len(self), dtype=np.bool_)
        for values, has in ((self.scores, self.scored), (self.embeddings, self.embedded)):
            if values is not None:
                numbers = np.isfinite(values).all(axis=1)
                sound &= numbers if has is None else numbers | ~has
        return sound

    def whole(self) -> Rows:
        """The rows that lack nothing of what others have: scores, embeddings, inputs."""
        masks = [has for has in (self.scored, self.embedded, self.described) if has is not None]
        return self.take(np.logical_and.reduce(masks)) if masks else self

    @staticmethod
    def concat(parts: Sequence[Rows], shape: Shape | None = None) -> Rows:
        """Rows one after another, each with what it has; `scored` and its like say which rows lack what others have.

        Of one release whose rows have scores or embeddings of several widths, those of another width than most have
        none; of releases that differ among each other no row has any. Input columns that only some parts have become
        null in the others, and a column of several types gets one that holds them all (`column_types`).

        Args:
            shape: of all the rows that these are some of; else that of these.
        """
        parts = [p for p in parts if len(p)]
        if not parts:
            return Rows.none()
        shape = shape or _shape(parts)
        scores, scored = _stack(parts, shape.scores, [p.scores for p in parts], [p.scored for p in parts])
        embeddings, embedded = _stack(
            parts, shape.embeddings, [p.embeddings for p in parts], [p.embedded for p in parts]
        )
        inputs, described = _tables(parts, shape)
        return Rows(
            ids=np.concatenate([p.ids for p in parts]),
            times=np.concatenate([p.times for p in parts]),
            releases=np.concatenate([p.releases for p in parts]),
            predictions=np.concatenate([p.predictions for p in parts]),
            scores=scores,
            embeddings=embeddings,
            groups=np.concatenate([_or_none(p) for p in parts]) if shape.groups else None,
            inputs=inputs,
            duplicates=sum(p.duplicates for p in parts),
            latencies=np.concatenate([_waited(p) for p in parts]) if shape.latencies else None,
            scored=scored,
            embedded=embedded,
            described=described,
        )


def first_of_each(parts: Sequence[Rows], known: Iterable[str] = ()) -> tuple[list[Rows], int]:
    """These parts without ids that are known or that an earlier row has, and how many rows that drops."""
    masks = firsts([part.ids.tolist() for part in parts], known)
    kept = [part if mask is None else part.take(mask) for part, mask in zip(parts, masks, strict=True)]
    return kept, sum(len(part) for part in parts) - sum(len(part) for part in kept)


def firsts(parts: Sequence[Sequence[str]], known: Iterable[str] = ()) -> list[Mask | None]:
    """Which of these ids are neither known nor seen before, by part; None where all of a part are not."""
    seen = set(known)
    found: list[Mask | None] = []
    for ids in parts:
        fresh = set(ids)
        if len(fresh) == len(ids) and seen.isdisjoint(fresh):
            seen |= fresh
            found.append(None)
            continue
        first = np.zeros(len(ids), dtype=np.bool_)
        for place, row_id in enumerate(ids):
            if row_id not in seen:
                seen.add(row_id)
                first[place] = True
        found.append(first)
    return found


def _stamp(at: datetime) -> np.datetime64:
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us")


def _or_none(rows: Rows) -> Objects:
    return np.full(len(rows), None, dtype=object) if rows.groups is None else rows.groups


def _waited(rows: Rows) -> npt.NDArray[np.float64]:
    return np.full(len(rows), np.nan) if rows.latencies is None else rows.latencies


def _shape(parts: list[Rows]) -> Shape:
    """What these parts have together."""
    return Shape.of(
        _width(parts, [p.scores for p in parts], [p.scored for p in parts]),
        _width(parts, [p.embeddings for p in parts], [p.embedded for p in parts]),
        [(None if p.inputs is None else p.inputs.schema, len(p)) for p in parts],
        groups=any(p.groups is not None for p in parts),
        latencies=any(p.latencies is not None for p in parts),
    )


def _stack(
    parts: list[Rows], width: int | None, values: list[npt.NDArray[np.float32] | None], masks: list[Mask | None]
) -> tuple[npt.NDArray[np.float32] | None, Mask | None]:
    """Scores or embeddings of all parts, NaN where a row has none of this width, and which rows have some."""
    if width is None:
        return None, None
    fitting = [found if found is not None and found.shape[1] == width else None for found in values]
    stacked = [
        np.full((len(part), width), np.nan, dtype=np.float32) if found is None else found
        for part, found in zip(parts, fitting, strict=True)
    ]
    return np.concatenate(stacked), _joined(parts, [found is not None for found in fitting], masks)


def _width(parts: list[Rows], values: list[npt.NDArray[np.float32] | None], masks: list[Mask | None]) -> int | None:
    """How wide scores or embeddings are; None where no part has any, or releases differ."""
    widths = {found.shape[1] for found in values if found is not None}
    if len(widths) <= 1:
        return next(iter(widths), None)
    counts: dict[str, Counter[int]] = {}
    for part, found, has in zip(parts, values, masks, strict=True):
        if found is not None:
            for release, rows in Counter(part.releases[slice(None) if has is None else has].tolist()).items():
                counts.setdefault(str(release), Counter())[found.shape[1]] += rows
    return usual_width(counts)


def _joined(parts: list[Rows], have: list[bool], masks: list[Mask | None]) -> Mask | None:
    """Which rows have something, of parts that have it and of parts that have not; None where all rows have it."""
    if all(have) and all(mask is None for mask in masks):
        return None
    found = [
        np.full(len(part), has) if mask is None or not has else mask
        for part, has, mask in zip(parts, have, masks, strict=True)
    ]
    return np.concatenate(found)


def _tables(parts: list[Rows], shape: Shape) -> tuple[pa.Table | None, Mask | None]:
    """Inputs of all parts, null where a row has none, and which rows have some."""
    if shape.inputs is None:
        return None, None
    given = [part.inputs if part.inputs is not None and part.inputs.num_columns else None for part in parts]
    tables = [shape.fitted(table, len(part)) for table, part in zip(given, parts, strict=True)]
    have = [table is not None for table in given]
    return pa.concat_tables(tables), _joined(parts, have, [part.described for part in parts])
