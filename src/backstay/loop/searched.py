"""Searches as the monitor takes them: those that the server logged, and reference queries whose answers are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.gallery import Gallery
from backstay.journal.searches import MARKED, Search, searches
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Release, Schema
from backstay.labels.trust import is_trusted
from backstay.loop.examples import text
from backstay.loop.gallery import files, opened
from backstay.loop.workspace import Workspace
from backstay.maths.arrays import AnyArray, FloatArray, IntArray
from backstay.maths.result_lists import LEAST_RESULTS, result_list
from backstay.monitor.label_free import draw_rows
from backstay.monitor.memory import POOLED
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import Searches
from backstay.monitor.windows import stamp

MOST_QUERIES = 2_000
# Results of a query's own subject are left out; so many more are looked at.
SPARE = 10


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Reference queries: result lists in numbers [q, 7], places of the first right result [q], their groups [q]."""

    described: FloatArray
    places: IntArray
    groups: AnyArray | None


class Searched:
    """The searches of one release, by window; reference queries of a gallery are looked for once a look."""

    def __init__(self, ws: Workspace, release: Release, reference: Reference) -> None:
        self._ws, self._release, self._reference = ws, release, reference
        self._known: dict[str, Known | None] = {}
        found: list[Search] = []
        if ws.settings.serve.log_searches:
            feedback, _ = ws.journal.feedback()
            known = searches(feedback, ws.name, ws.environment, lambda source: is_trusted(source, ws.settings.labels))
            found = [search for search in known if search.release == release.id]
        self._searches = found
        self._at = np.array([search.at for search in found], dtype=np.int64).astype("datetime64[us]")

    def of(self, start: datetime, end: datetime) -> Searches | None:
        """The searches of the gallery that was searched most in a window; None where none was, or it is gone."""
        within = self._between(start, end)
        if not within:
            return None
        name = Counter(search.gallery for search in within).most_common(1)[0][0]
        if name not in self._known:
            self._known[name] = known_queries(self._ws, self._release, self._reference, name)
        known = self._known[name]
        if known is None:
            return None
        since = min(end - POOLED, start)
        judged = [s.place for s in self._between(since, end) if s.gallery == name and s.place is not None]
        return Searches(
            gallery=name,
            described=np.array([search.described for search in within if search.gallery == name]),
            known=known.described,
            places=known.places,
            judged=np.array(judged, dtype=np.int64),
            groups=known.groups,
        )

    def _between(self, start: datetime, end: datetime) -> list[Search]:
        inside = np.flatnonzero((self._at >= stamp(start)) & (self._at < stamp(end)))
        return [self._searches[place] for place in inside.tolist()]


def known_queries(ws: Workspace, release: Release, reference: Reference, name: str) -> Known | None:
    """Reference rows that the model has not learned from, looked for in a gallery; None where that cannot be done.

    Only rows whose label the gallery has are queries: of the others no result can be right. Rows of a query's own id
    or group are no results.
    """
    table, schema = ws.rows_of(str(release.reference_id))
    if name not in files(ws) or reference.truth is None or reference.representation is None:
        return None
    gallery, model = opened(ws, name), ws.load_model(ws.model_record(release.model_id))
    kept = None if schema.target is None else gallery.kept.get(schema.target)
    if gallery.space != model.manifest.space_id or kept is None:
        return None
    labels: npt.NDArray[np.object_] = np.array(kept.to_pylist(), dtype=object)
    there = set(labels.tolist()) - {None}
    rows = [int(i) for i in reference.labelled if str(reference.truth[i]) in there]
    chosen = draw_rows(np.array(rows, dtype=np.int64), MOST_QUERIES, f"queries {name}")
    if not len(chosen) or len(gallery) < LEAST_RESULTS:
        return None
    try:
        near, cosines = gallery.find(
            reference.representation[chosen], min(LEAST_RESULTS + SPARE, len(gallery)), space=model.manifest.space_id
        )
    except BackstayError:
        # An embedding without direction: the server refuses to search with one as well.
        return None
    own = _own(gallery, near, _texts(table, schema), reference.groups, chosen)
    whole = np.flatnonzero((~own).sum(axis=1) >= LEAST_RESULTS)
    # The first twenty that are not the query's own: a stable sort puts these first and keeps their order.
    order = np.argsort(own[whole], axis=1, kind="stable")[:, :LEAST_RESULTS]
    near = np.take_along_axis(near[whole], order, axis=1)
    cosines = np.take_along_axis(cosines[whole], order, axis=1)
    right = labels[near[:, :MARKED]] == reference.truth[chosen[whole]].astype(object)[:, None]
    places = np.where(right.any(axis=1), right.argmax(axis=1) + 1, 0).astype(np.int64)
    groups = None if reference.codes is None else reference.codes[chosen[whole]]
    return Known(result_list(cosines), places, groups) if len(whole) else None


def _own(
    gallery: Gallery, near: IntArray, ids: Sequence[str] | None, groups: AnyArray | None, chosen: IntArray
) -> npt.NDArray[np.bool_]:
    """Which results [q, k] are of the query's own id or group."""
    own = np.zeros(near.shape, dtype=np.bool_)
    if ids is not None:
        theirs = np.array(gallery.ids.to_pylist(), dtype=object)
        own |= theirs[near] == np.array([ids[i] for i in chosen], dtype=object)[:, None]
    if groups is not None:
        theirs = np.array(gallery.groups.to_pylist(), dtype=object)
        mine = np.array([str(groups[i]) if groups[i] else "" for i in chosen], dtype=object)
        own |= theirs[near] == mine[:, None]
    return own


def _texts(table: pa.Table, schema: Schema) -> list[str] | None:
    """Ids of the reference rows as galleries have them."""
    if schema.id is None or schema.id not in table.column_names:
        return None
    return [text(value) for value in table.column(schema.id).to_pylist()]
