"""Logged answers as rows: tensors become columns by the manifest of the release that answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.inputs import table_from
from backstay.bundle.manifest import Manifest
from backstay.journal.entries import Feedback, Predictions, Tensor, array, unpack
from backstay.journal.rows import Rows
from backstay.journal.segment import frames

EPOCH = np.datetime64(0, "us")
Shape = tuple[str, int | None, int | None, bool]


def entries_of(segments: Iterable[Path]) -> Iterator[Predictions | Feedback]:
    """What these segments hold, in the order in which it was written."""
    for path in segments:
        for payload, _ in frames(path):
            yield unpack(payload)


def rows_by_release(
    entries: Iterable[Predictions | Feedback], model: str, environment: str, manifests: Mapping[str, Manifest]
) -> list[Rows]:
    """The answers of one model, joined by release and by what is logged of them: each part is alike in all its rows.

    They are joined so that tensors are turned into columns in few steps. An entry that was logged with less than its
    neighbours costs these nothing. Where an id comes twice, the part that has the first of them comes first.
    """
    own = [e for e in entries if isinstance(e, Predictions) and scope_of(e) == (model, environment)]
    alike: dict[Shape, list[Predictions]] = {}
    for entry in own:
        alike.setdefault(_shape(entry), []).append(entry)
    parts = {shape: answers(group, manifests.get(shape[0])) for shape, group in alike.items()}
    return list(parts.values()) if len(parts) <= 1 else _in_order(own, parts)


def _in_order(entries: list[Predictions], parts: Mapping[Shape, Rows]) -> list[Rows]:
    """The parts, rows whose id was logged before in another part behind all others: the first of an id counts."""
    known: set[str] = set()
    for entry in entries:
        known.update(entry.ids)
    if len(known) == sum(len(entry.ids) for entry in entries):
        return list(parts.values())
    fresh: dict[Shape, list[bool]] = {shape: [] for shape in parts}
    for entry in entries:
        for row_id in entry.ids:
            fresh[_shape(entry)].append(row_id in known)
            known.discard(row_id)
    masks = {shape: np.array(marks, dtype=np.bool_) for shape, marks in fresh.items()}
    firsts = [part.take(masks[shape]) for shape, part in parts.items()]
    return firsts + [part.take(~masks[shape]) for shape, part in parts.items() if not masks[shape].all()]


def _shape(entry: Predictions) -> Shape:
    """Release, width of scores and of embeddings, and whether inputs are logged."""
    return entry.release, _width(entry.scores), _width(entry.embeddings), bool(entry.inputs)


def _width(value: Tensor | None) -> int | None:
    return None if value is None else value.shape[-1]


def scope_of(entry: Predictions) -> tuple[str, str]:
    """Model and environment of an entry."""
    return entry.model, entry.environment


def answers(entries: list[Predictions], manifest: Manifest | None) -> Rows:
    """Answers of one release as rows. They are alike in what is logged of them; else use `rows_by_release`."""
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
        latencies=_latencies(entries, sizes),
    )


def _latencies(entries: list[Predictions], sizes: list[int]) -> npt.NDArray[np.float64] | None:
    """Milliseconds a row; None where no request was timed."""
    if not any(e.waited for e in entries):
        return None
    return np.repeat(np.array([e.waited / 1000.0 if e.waited else np.nan for e in entries]), sizes)


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
