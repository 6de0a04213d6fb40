"""A random sample of rows that merges: those with the smallest hashes of their ids (bottom-k)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray
from backstay.maths.sketches.hashes import Hashes, hash_ids
from backstay.maths.sketches.means import check_version
from backstay.monitor.traffic import WindowData

VERSION = 1
SEED = 2
KEPT = 2000


@dataclass(frozen=True, slots=True, eq=False)
class RowSample:
    """At most `most` rows with the smallest hashes, in their order; None before the first row."""

    most: int = KEPT
    hashes: Hashes | None = None
    rows: WindowData | None = None

    def add(self, window: WindowData) -> RowSample:
        """The sample with more rows offered."""
        hashes = hash_ids(window.ids, SEED)
        if self.hashes is not None and len(self.hashes) == self.most:
            chosen = np.flatnonzero(hashes <= self.hashes[-1])
        else:
            chosen = np.arange(len(hashes))
        if len(chosen) > self.most:
            chosen = np.flatnonzero(hashes <= np.partition(hashes, self.most - 1)[self.most - 1])
        if len(chosen) == 0:
            return self
        return self.merge(RowSample(self.most, hashes[chosen], take(window, chosen)))

    def merge(self, other: RowSample) -> RowSample:
        """The sample of both sets of rows together."""
        if self.most != other.most:
            raise BackstayError(f"samples of {self.most} and {other.most} rows", fix="merge samples of one size")
        if self.rows is None or self.hashes is None:
            return other._smallest()
        if other.rows is None or other.hashes is None:
            return self._smallest()
        return RowSample(
            self.most, np.concatenate([self.hashes, other.hashes]), joined([self.rows, other.rows])
        )._smallest()

    def _smallest(self) -> RowSample:
        if self.rows is None or self.hashes is None:
            return self
        # Ids break ties, so that the order in which parts come does not show.
        order = np.lexsort((self.rows.ids.astype(str), self.hashes))[: self.most]
        return RowSample(self.most, self.hashes[order], take(self.rows, order))

    def to_json(self) -> dict[str, Any]:
        """JSON types only; numbers are exact."""
        rows = self.rows
        if rows is None:
            return {"version": VERSION, "most": self.most, "rows": None}
        return {
            "version": VERSION,
            "most": self.most,
            "rows": {
                "start": rows.start.isoformat(),
                "end": rows.end.isoformat(),
                "times": _packed(rows.times.astype("datetime64[us]").astype(np.int64)),
                **{name: _packed(getattr(rows, name)) for name in ("ids", "predicted", "representation", "scores")},
                "columns": {name: _packed(values) for name, values in rows.columns.items()},
                "traits": {name: _packed(values) for name, values in rows.traits.items()},
                **({"slices": {n: _packed(v) for n, v in rows.slices.items()}} if rows.slices else {}),
                **({"lacks": {n: _packed(v) for n, v in rows.lacks.items()}} if rows.lacks else {}),
                **({"strange": {n: _packed(v) for n, v in rows.strange.items()}} if rows.strange else {}),
            },
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> RowSample:
        check_version(state, VERSION, "row")
        kept = state["rows"]
        if kept is None:
            return RowSample(int(state["most"]))
        rows = WindowData(
            start=datetime.fromisoformat(kept["start"]),
            end=datetime.fromisoformat(kept["end"]),
            times=_unpacked(kept["times"]).view("datetime64[us]"),
            **{name: _unpacked(kept[name]) for name in ("ids", "predicted", "representation", "scores")},
            columns={name: _unpacked(values) for name, values in kept["columns"].items()},
            traits={name: _unpacked(values) for name, values in kept["traits"].items()},
            slices={name: _unpacked(values) for name, values in kept.get("slices", {}).items()},
            lacks={name: _unpacked(values) for name, values in kept.get("lacks", {}).items()},
            strange={name: _unpacked(values) for name, values in kept.get("strange", {}).items()},
        )
        return RowSample(int(state["most"]), hash_ids(rows.ids, SEED), rows)


def take(window: WindowData, chosen: AnyArray) -> WindowData:
    """The window with these of its rows alone."""
    return replace(
        window,
        ids=window.ids[chosen],
        times=window.times[chosen],
        predicted=window.predicted[chosen],
        representation=None if window.representation is None else window.representation[chosen],
        scores=None if window.scores is None else window.scores[chosen],
        groups=None if window.groups is None else window.groups[chosen],
        latencies=None if window.latencies is None else window.latencies[chosen],
        numbers=None if window.numbers is None else window.numbers[chosen],
        members=None if window.members is None else window.members[chosen],
        columns={name: values[chosen] for name, values in window.columns.items()},
        traits={name: values[chosen] for name, values in window.traits.items()},
        slices={name: values[chosen] for name, values in window.slices.items()},
        lacks={name: values[chosen] for name, values in window.lacks.items()},
        strange={name: values[chosen] for name, values in window.strange.items()},
    )


def joined(parts: Sequence[WindowData]) -> WindowData:
    """The rows of several parts, one after another. What some lack (scores, groups, slices) is lacking in all."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if any(part.columns.keys() != first.columns.keys() or part.traits.keys() != first.traits.keys() for part in parts):
        raise BackstayError("two parts of a window have other columns", fix="give rows with the same columns")
    return replace(
        first,
        start=min(part.start for part in parts),
        end=max(part.end for part in parts),
        ids=np.concatenate([part.ids for part in parts]),
        times=np.concatenate([part.times for part in parts]),
        predicted=np.concatenate([part.predicted for part in parts]),
        representation=_stacked([part.representation for part in parts]),
        scores=_stacked([part.scores for part in parts]),
        groups=_stacked([part.groups for part in parts]),
        latencies=_stacked([part.latencies for part in parts]),
        columns={name: np.concatenate([part.columns[name] for part in parts]) for name in first.columns},
        traits={name: np.concatenate([part.traits[name] for part in parts]) for name in first.traits},
        slices={
            name: np.concatenate([part.slices[name] for part in parts])
            for name in first.slices
            if all(name in part.slices for part in parts)
        },
        lacks=_marks([part.lacks for part in parts], parts, False),
        strange=_marks([part.strange for part in parts], parts, None),
    )


def _marks(
    marks: Sequence[Mapping[str, AnyArray]], parts: Sequence[WindowData], nothing: object
) -> dict[str, AnyArray]:
    """Marks of the rows of several parts; a part without them has nothing to mark."""
    names = dict.fromkeys(name for found in marks for name in found)
    kind = np.bool_ if nothing is False else object
    return {
        name: np.concatenate(
            [
                found[name] if name in found else np.full(len(part), nothing, dtype=kind)
                for found, part in zip(marks, parts, strict=True)
            ]
        )
        for name in names
    }


def _stacked(parts: list[AnyArray | None]) -> AnyArray | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def _packed(values: AnyArray | None) -> Any:
    """Numbers as base64 of their bytes with type and shape, text as a list."""
    if values is None:
        return None
    if values.dtype.kind in "OU":
        return [value if value is None or isinstance(value, int) else str(value) for value in values.tolist()]
    plain = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
    return {
        "type": plain.dtype.str,
        "shape": list(plain.shape),
        "bytes": base64.b64encode(plain.tobytes()).decode(),
    }


def _unpacked(state: Any) -> Any:
    if state is None:
        return None
    if isinstance(state, list):
        found = np.empty(len(state), dtype=object)
        found[:] = state
        return found
    return np.frombuffer(base64.b64decode(state["bytes"]), dtype=np.dtype(state["type"])).reshape(state["shape"])
