"""The rows of a gallery that are most like rows that are asked for, and how often that is of the same label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.gallery import Gallery
from backstay.kernel.errors import BackstayError, NotFound, nearest
from backstay.kernel.records import Interval, Measurement
from backstay.loop.examples import bring, text
from backstay.loop.gallery import DEFAULT, files, opened
from backstay.loop.given import as_kept
from backstay.loop.workspace import Workspace
from backstay.maths.arrays import FloatArray
from backstay.maths.cosine import nearest_by_cosine, unit_rows
from backstay.maths.intervals import mean_interval, proportion
from backstay.maths.retrieval import retrieval

MOST_NEIGHBOURS = 10_000


@dataclass(frozen=True)
class Neighbour:
    """One row of the gallery: its cosine to what was asked for, in [-1, 1], and what is kept of it."""

    id: str
    cosine: float
    kept: dict[str, str | None]


@dataclass(frozen=True)
class Asked:
    """One row that was asked for, and its nearest rows in the gallery, nearest first."""

    id: str
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True)
class Searched:
    """The answer to a search.

    Args:
        rows: how many the gallery holds.
        model: that embedded what was asked for; None where a row of the gallery was.
        figures: recall@1, recall@k and MAP@R over the rows that were asked for, where these and the gallery have
            labels: a row is right where its label is the same. Rows of one id or group do not count for each other.
    """

    gallery: str
    rows: int
    model: str | None
    asked: tuple[Asked, ...]
    figures: tuple[Measurement, ...] = ()


def search(ws: Workspace, source: Any, *, k: int = 10, name: str = DEFAULT) -> Searched:
    """The k rows of a gallery that are nearest to each row of a file or frame, by cosine, every row looked at.

    Raises:
        NotFound: there is no such gallery.
        BackstayError: k is out of range, or the live model is of another space than the gallery.
    """
    _check(k)
    found = opened(ws, name)
    release = ws.champion()
    model = ws.load_model(ws.model_record(release.model_id))
    _, schema = ws.rows_of(str(release.reference_id))
    table = as_kept(bring(ws, source), schema, model.manifest.columns)
    embeddings = model.predict(table).embeddings
    if embeddings is None:
        raise BackstayError(f"the live model {model.id} gives no embeddings", fix="promote a model with an encoder")
    places, cosines = found.find(embeddings, k, space=model.manifest.space_id)
    ids = _column(table, schema.id) or [str(row) for row in range(table.num_rows)]
    labels = _column(table, schema.target)
    figures: tuple[Measurement, ...] = ()
    if labels is not None and schema.target in found.kept:
        known = _Truth(labels, ids, _column(table, schema.group))
        figures = _figures(found, embeddings, known, str(schema.target), k, data_id=files(ws)[name].id)
    return Searched(name, len(found), model.id, _answers(found, ids, places, cosines), figures)


def like(ws: Workspace, row: str, *, k: int = 10, name: str = DEFAULT) -> Searched:
    """The k rows of a gallery that are nearest to one of its own rows, itself left out.

    Raises:
        NotFound: there is no such gallery, or no such row in it.
    """
    _check(k)
    found = opened(ws, name)
    if row not in found.place_of:
        raise NotFound(f"the gallery {name!r} has no row {row!r}", fix=nearest(row, list(found.place_of)[:1000]))
    place = found.place_of[row]
    places, cosines = nearest_by_cosine(found.vectors, found.vectors[place : place + 1], k + 1)
    others = places[0] != place
    return Searched(name, len(found), None, _answers(found, [row], places[:, others][:, :k], cosines[:, others][:, :k]))


@dataclass(frozen=True)
class _Truth:
    labels: list[str]
    ids: list[str]
    groups: list[str] | None


def _check(k: int) -> None:
    if not 1 <= k <= MOST_NEIGHBOURS:
        raise BackstayError(f"{k} neighbours were asked for", fix=f"ask for 1 to {MOST_NEIGHBOURS}")


def _column(table: pa.Table, name: str | None) -> list[str] | None:
    if name is None or name not in table.column_names:
        return None
    return [text(value) for value in table.column(name).to_pylist()]


def _answers(found: Gallery, ids: list[str], places: npt.NDArray[np.int64], cosines: FloatArray) -> tuple[Asked, ...]:
    shown = {int(p): Neighbour(found.ids[int(p)].as_py(), 0.0, found.shown(int(p))) for p in np.unique(places)}
    return tuple(
        Asked(
            row,
            tuple(
                Neighbour(shown[p].id, round(c, 6), shown[p].kept)
                for p, c in zip(places[i].tolist(), cosines[i].tolist(), strict=True)
            ),
        )
        for i, row in enumerate(ids)
    )


def _figures(
    found: Gallery,
    embeddings: npt.NDArray[np.floating[Any]],
    truth: _Truth,
    target: str,
    k: int,
    *,
    data_id: str,
) -> tuple[Measurement, ...]:
    """Of unit vectors Euclidean distance orders as cosine does."""
    kept = found.kept[target].to_pylist()
    known, theirs = [v is not None for v in kept], found.ids.to_pylist()
    mine = truth.ids
    if truth.groups is not None:
        theirs = [g or i for g, i in zip(found.groups.to_pylist(), theirs, strict=True)]
        mine = truth.groups
    labels = np.unique([*(v or "" for v in kept), *truth.labels], return_inverse=True)[1]
    subjects = np.unique([*theirs, *mine], return_inverse=True)[1]
    rows = np.concatenate([found.vectors, unit_rows(embeddings, "query")])
    chosen = np.array([*known, *[True] * len(mine)])
    asked = (np.arange(len(rows)) >= len(found))[chosen]
    measured: list[Measurement] = []
    for within in sorted({1, k}):
        got = retrieval(rows[chosen], labels[chosen], groups=subjects[chosen], asked=asked, within=within)
        if not len(got.queries):
            return ()
        own = None if truth.groups is None else subjects[chosen][got.queries]
        low, high = proportion(got.hit, own)
        span = Interval(low, high, method="exact" if own is None else "exact, by group")
        measured.append(Measurement(f"recall_at_{within}", float(got.hit.mean()), span, len(got.hit), data_id))
    independent = len(got.precision) if own is None else len(np.unique(own))
    bounds = mean_interval(got.precision, own) if independent > 1 else None
    span_of_mean = None if bounds is None else Interval(max(bounds.low, 0.0), min(bounds.high, 1.0), method="t")
    measured.append(Measurement("map_at_r", float(got.precision.mean()), span_of_mean, len(got.precision), data_id))
    return tuple(measured)
