"""What nothing names may go. What a release, a verdict, a report, a data version or a hold names never does."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from backstay.kernel.clock import Clock
from backstay.kernel.records import DataVersion, ModelRecord, Release, Report, Verdict
from backstay.store.files import TEMPORARY, size_of
from backstay.store.sql import Store, open_store


@dataclass(frozen=True)
class Removed:
    """What was removed (or would be), and how many bytes that freed."""

    ids: list[str]
    bytes: int


def collect(state: Path, clock: Clock, *, dry_run: bool = False) -> Removed:
    """Remove bundles of models that were never released nor judged, unfiled blobs, and leavings of killed writers."""
    store = open_store(state, clock)
    bundles, blobs = _named(store)
    ids: list[str] = []
    total = 0
    for folder, kept in ((state / "bundles", bundles), (state / "blobs", blobs), (state / "training", set[str]())):
        if not folder.is_dir():
            continue
        for entry in sorted(folder.iterdir()):
            if entry.name in kept and not entry.name.startswith(TEMPORARY):
                continue
            ids.append(entry.name)
            total += size_of(entry)
            if not dry_run:
                if entry.is_dir():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
    return Removed(ids, total)


def _named(store: Store) -> tuple[set[str], set[str]]:
    """Bundle names and blob names that some record needs."""
    models = {m.id: m for m in store.find("model", ModelRecord)}
    verdicts = store.find("verdict", Verdict)
    reports = store.find("report", Report)
    releases = [r for m in models.values() for r in store.releases(m.model, "production")]
    releases += [r for v in verdicts for r in store.releases(v.model, v.environment)]
    needed = {r.model_id for r in releases} | {v.candidate for v in verdicts} | {r.model_id for r in reports}
    bundles = {str(models[i].bundle) for i in needed if i in models and models[i].bundle}
    data = {d.id: d for d in store.find("data", DataVersion)}
    return bundles, {d.blob for d in data.values()} | _references(releases, data)


def _references(releases: list[Release], data: dict[str, DataVersion]) -> set[str]:
    return {data[r.reference_id].blob for r in releases if r.reference_id in data}
