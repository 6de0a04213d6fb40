"""Logged predictions in memory, a row each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Objects = npt.NDArray[np.object_]
Indices = npt.NDArray[np.int64] | npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Logged predictions.

    Args:
        ids: prediction ids [n].
        times: datetime64[us], UTC [n].
        releases: id of the release that answered [n].
        predictions: class names [n].
        scores: float32 [n, k] in class order; embeddings: float32 [n, d]; None where not logged.
        groups: whose rows belong together [n], None where not given.
        inputs: feature and context columns, None where inputs are not logged.
        latencies: milliseconds that each row's request waited for its answer [n], NaN where not known.
        duplicates: rows dropped, now or at compaction, because their id had been seen before.
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
        )

    def between(self, start: datetime, end: datetime) -> Rows:
        """Rows of [start, end)."""
        return self.take((self.times >= _stamp(start)) & (self.times < _stamp(end)))

    def of_release(self, release: str) -> Rows:
        """Rows that this release answered."""
        return self.take(np.asarray(self.releases == release, dtype=np.bool_))

    def sound(self) -> npt.NDArray[np.bool_]:
        """Which rows have numbers for scores and embeddings: only these are judged."""
        sound = np.ones(len(self), dtype=np.bool_)
        for values in (self.scores, self.embeddings):
            if values is not None:
                sound &= np.isfinite(values).all(axis=1)
        return sound

    @staticmethod
    def concat(parts: Sequence[Rows]) -> Rows:
        """Rows one after another. What some parts lack (scores of another width, inputs) is lacking in all.

        Input columns that only some parts have become null in the others.
        """
        parts = [p for p in parts if len(p)]
        if not parts:
            return Rows.none()
        return Rows(
            ids=np.concatenate([p.ids for p in parts]),
            times=np.concatenate([p.times for p in parts]),
            releases=np.concatenate([p.releases for p in parts]),
            predictions=np.concatenate([p.predictions for p in parts]),
            scores=_stack([p.scores for p in parts]),
            embeddings=_stack([p.embeddings for p in parts]),
            groups=None if all(p.groups is None for p in parts) else np.concatenate([_or_none(p) for p in parts]),
            inputs=None if any(p.inputs is None for p in parts) else _tables([p.inputs for p in parts]),
            duplicates=sum(p.duplicates for p in parts),
            latencies=None if all(p.latencies is None for p in parts) else np.concatenate([_waited(p) for p in parts]),
        )


def first_of_each(parts: Sequence[Rows], known: Iterable[str] = ()) -> tuple[list[Rows], int]:
    """These parts without ids that are known or that an earlier row has, and how many rows that drops."""
    seen = set(known)
    kept: list[Rows] = []
    dropped = 0
    for part in parts:
        ids = part.ids.tolist()
        before = len(seen)
        fresh = set(ids)
        if len(fresh) == len(ids) and seen.isdisjoint(fresh):
            seen |= fresh
            kept.append(part)
            continue
        first = np.zeros(len(ids), dtype=np.bool_)
        for place, row_id in enumerate(ids):
            if row_id not in seen:
                seen.add(row_id)
                first[place] = True
        dropped += len(ids) - (len(seen) - before)
        kept.append(part.take(first))
    return kept, dropped


def _stamp(at: datetime) -> np.datetime64:
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us")


def _or_none(rows: Rows) -> Objects:
    return np.full(len(rows), None, dtype=object) if rows.groups is None else rows.groups


def _waited(rows: Rows) -> npt.NDArray[np.float64]:
    return np.full(len(rows), np.nan) if rows.latencies is None else rows.latencies


def _stack(parts: list[Any]) -> Any:
    if any(p is None for p in parts) or len({p.shape[1] for p in parts}) > 1:
        return None
    return np.concatenate(parts)


def _tables(parts: list[pa.Table | None]) -> pa.Table:
    return pa.concat_tables([p for p in parts if p is not None], promote_options="permissive")
