"""Erase a subject: the log, labels, the review queue and every data version; say which models had seen it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.data.snapshot import load, save
from backstay.journal.rows import Rows
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import DataVersion, ModelRecord, Schema
from backstay.loop.erasures import KIND, Erasure, erasures
from backstay.loop.examples import texts
from backstay.loop.gallery import erase, ids_of_groups
from backstay.loop.label import live_rows
from backstay.loop.lookup import judged_until, window_results
from backstay.loop.workspace import Workspace
from backstay.monitor.forgetting import state_without, window_without
from backstay.monitor.windows import rows_before


@dataclass(frozen=True)
class Forgotten:
    """What was erased.

    Args:
        rows: logged predictions. labels, requests: what people had said or were asked.
        replaced: data versions that held the subject, by the version without it that stands in their place.
        models: that were trained on the subject, or are watched against it. They are not changed: retrain them.
        releases: sequence numbers of the releases of these models.
        not_searched: data versions with neither an id nor a group column, in which nobody can be found.
        gallery_rows: rows of galleries.
        held_by_servers: log files that a running server still writes: hidden now, erased by the next `backstay gc`.
    """

    rows: int
    labels: int
    requests: int
    replaced: dict[str, str]
    models: tuple[str, ...]
    releases: tuple[int, ...]
    not_searched: tuple[str, ...]
    held_by_servers: int
    gallery_rows: int = 0


def forget(ws: Workspace, *, ids: Sequence[str] = (), groups: Sequence[str] = (), reason: str) -> Forgotten:
    """Erase rows by prediction id or group, in this model's data and in this environment's log.

    The ledger keeps hashes of the ids and the reason, nothing else of the subject. Files outside the store (the
    project's own sources, backups) are not touched. Doing it again goes on where a killed run stopped.
    """
    if not ids and not groups:
        raise BackstayError("nobody was named", fix="name rows with --id, or all rows of a subject with --group")
    if not reason.strip():
        raise BackstayError("an erasure needs a reason", fix="say why with --reason, for the ledger")
    wanted = set(groups)
    everything = set(ids) | _ids_of_groups(ws, wanted)
    found = {v.id: v for v in ws.catalog.find("data", DataVersion, model=ws.name)}
    gone = erasures(ws.catalog)
    replaced, not_searched = _erase_from_data(ws, [v for v in found.values() if v.id not in gone], everything, wanted)
    models = _models_of(ws, set(replaced))
    releases = tuple(r.sequence for r in ws.catalog.releases(ws.name, ws.environment) if r.model_id in models)
    rows = live_rows(ws)
    logged = {str(i) for i in rows.ids}
    judged = _judged(ws, rows, everything)
    results = ids_of_groups(ws, wanted)
    ws.journal.forget(ws.name, ws.environment, ids=everything, groups=wanted, judged=judged, results=results)
    ws.journal.compact(ws.manifests_of_all())
    labels, requests = _erase_from_store(ws, everything)
    gallery_rows = erase(ws, everything, wanted)
    result = Forgotten(
        rows=len(everything & logged),
        labels=labels,
        requests=requests,
        replaced=replaced,
        models=models,
        releases=releases,
        not_searched=not_searched,
        held_by_servers=ws.journal.unfinished(),
        gallery_rows=gallery_rows,
    )
    _record(ws, result, ids, groups, reason)
    for data_id in (*gone, *replaced):
        if data_id in ws.blobs:
            ws.blobs.remove(data_id)
    return result


def _ids_of_groups(ws: Workspace, groups: set[str]) -> set[str]:
    """Prediction ids of these groups, in the log and among labels and requests."""
    rows = live_rows(ws)
    owners = [] if rows.groups is None else zip(rows.ids, rows.groups, strict=True)
    named = {str(i) for i, g in owners if g in groups}
    named |= {label.prediction_id for label in ws.catalog.labels(ws.name, ws.environment) if label.group in groups}
    named |= {r.prediction_id for r in ws.catalog.requests(ws.name, ws.environment) if r.group in groups}
    return named


def _erase_from_data(
    ws: Workspace, versions: Sequence[DataVersion], ids: set[str], groups: set[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """File a version without the subject for each one that holds it; their bytes go once that is in the ledger."""
    replaced: dict[str, str] = {}
    not_searched: list[str] = []
    for version in versions:
        if version.schema.id is None and version.schema.group is None:
            not_searched.append(version.id)
            continue
        table = load(version, ws.blobs)
        mine = _rows_of(table, version.schema, ids, groups)
        if not mine.any():
            continue
        rest = table.filter(pa.array(~mine))
        fresh = save(
            rest,
            version.schema,
            ws.blobs,
            clock=ws.clock,
            source=f"{version.id}#erased",
            role=version.role,
            parents=(version.id,),
        )
        with ws.ledger.transaction() as tx:
            if fresh.id not in {v.id for v in ws.catalog.find("data", DataVersion)}:
                tx.put("data", fresh.id, fresh, **ws.scope)
            tx.put(KIND, version.id, Erasure(version.id, fresh.id, int(mine.sum()), ws.clock.now()))
        replaced[version.id] = fresh.id
    return replaced, tuple(not_searched)


def _rows_of(table: pa.Table, schema: Schema, ids: set[str], groups: set[str]) -> npt.NDArray[np.bool_]:
    mine = np.zeros(table.num_rows, dtype=bool)
    for column, names in ((schema.id, ids), (schema.group, groups)):
        if column is not None and names:
            mine |= np.array([value in names for value in texts(table, column)], dtype=bool)
    return mine


def _models_of(ws: Workspace, data_ids: set[str]) -> tuple[str, ...]:
    """Models that learned from one of these versions, or are watched or judged against it."""
    releases = ws.catalog.every_release()
    watched = {r.model_id for r in releases if r.reference_id in data_ids}
    records = ws.catalog.find("model", ModelRecord, model=ws.name)
    return tuple(r.id for r in records if {r.data_id, r.reference_id} & data_ids or r.id in watched)


def _judged(ws: Workspace, rows: Rows, ids: set[str]) -> dict[str, int]:
    """How many of these rows a window has counted, by release: the monitor must not take their loss for a gap."""
    named = rows.take(rows.sound() & np.array([str(i) in ids for i in rows.ids], dtype=np.bool_))
    releases = {str(release) for release in named.releases}
    counts = {r: rows_before(named.of_release(r).times, judged_until(ws, r)) for r in sorted(releases)}
    return {release: n for release, n in counts.items() if n}


def _erase_from_store(ws: Workspace, ids: set[str]) -> tuple[int, int]:
    """Labels, requests, what monitors remember of single rows, and where a window shows them as examples."""
    states = ws.catalog.states(f"watch/{ws.name}/{ws.environment}/")
    scrubbed = {key: state_without(state, ids) for key, state in states.items()}
    windows = [(w, window_without(w, ids)) for w in window_results(ws)]
    return ws.catalog.erase(
        ws.name,
        ws.environment,
        sorted(ids),
        states={key: state for key, state in scrubbed.items() if state != states[key]},
        records={("window", w.id): fresh for w, fresh in windows if fresh != w},
    )


def _record(ws: Workspace, result: Forgotten, ids: Sequence[str], groups: Sequence[str], reason: str) -> None:
    body = {
        **ws.scope,
        "reason": reason,
        "ids": [_hashed(i) for i in ids],
        "groups": [_hashed(g) for g in groups],
        "rows": result.rows,
        "labels": result.labels,
        "requests": result.requests,
        "replaced": result.replaced,
        "models": list(result.models),
        "gallery_rows": result.gallery_rows,
    }
    with ws.ledger.transaction() as tx:
        tx.append("erased", body, actor=ws.actor)


def _hashed(name: str) -> str:
    """Tells whoever knows the id that it was erased, and nobody else."""
    return hashlib.sha256(name.encode()).hexdigest()
