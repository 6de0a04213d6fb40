"""What nothing names may go. What a release, a verdict, a report, a data version or a hold names never does."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from backstay.bundle.gallery import STATE as GALLERIES
from backstay.kernel.clock import Clock
from backstay.kernel.records import DataVersion, ModelRecord, Report, Verdict
from backstay.store.files import size_of
from backstay.store.sql import Store, open_store

HOLD = "hold/"
"""A state key `hold/ID` keeps the blob or bundle of this id, whoever set it."""
QUIET_SECONDS = 3600.0


@dataclass(frozen=True)
class Removed:
    """What was removed (or would be), and how many bytes that freed."""

    ids: list[str]
    bytes: int


def collect(state: Path, clock: Clock, *, dry_run: bool = False, quiet_seconds: float = QUIET_SECONDS) -> Removed:
    """Remove bundles of models that were never released nor judged, unfiled blobs, and leavings of killed writers.

    Args:
        quiet_seconds: what was written to since is left alone: a run in progress files its records last.
    """
    store = open_store(state, clock)
    bundles, blobs = _named(store)
    held = {key.removeprefix(HOLD) for key in store.states(HOLD)}
    newest = time.time() - quiet_seconds
    ids: list[str] = []
    total = 0
    for folder, kept in ((state / "bundles", bundles), (state / "blobs", blobs), (state / "training", set[str]())):
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            if entry.name in kept | held or _written_at(entry) > newest:
                continue
            ids.append(entry.name)
            total += size_of(entry)
            if not dry_run:
                _remove(entry)
    return Removed(ids, total)


def _remove(entry: Path) -> None:
    if entry.is_dir():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _written_at(entry: Path) -> float:
    """When anything in it was last written, in seconds since 1970 by the machine's clock."""
    return max(p.stat().st_mtime for p in (entry, *entry.rglob("*")))


def _named(store: Store) -> tuple[set[str], set[str]]:
    """Bundle names and blob names that some record needs. The rows of every data version stay."""
    models = {m.id: m for m in store.find("model", ModelRecord)}
    needed = {r.model_id for r in store.every_release()}
    needed |= {name for v in store.find("verdict", Verdict) for name in (v.candidate, v.champion) if name}
    needed |= {r.model_id for r in store.find("report", Report)}
    bundles = {str(models[i].bundle) for i in needed if i in models and models[i].bundle}
    galleries = {str(state["file"]) for state in store.states(GALLERIES).values() if state}
    return bundles, {d.blob for d in store.find("data", DataVersion)} | galleries
