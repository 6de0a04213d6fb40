from __future__ import annotations

import os
import time

import pytest

from backstay.kernel.records import (
    DataVersion,
    ModelRecord,
    Report,
    Schema,
    Task,
    Verdict,
)
from backstay.store.gc import collect

MODELS = ("adopted", "judged", "beaten", "reported", "idle")


@pytest.fixture
def full(store, folder, release, clock):
    """A bundle for each reason to be kept, one that is kept by nothing, and one that is not even recorded."""
    now = clock.now()
    with store.transaction() as tx:
        for name in MODELS:
            tx.put("model", name, ModelRecord(name, "m", Task.CLASSIFICATION, "run", now, bundle=name), model="m")
        tx.add_release(
            release(1, "adopted", environment="staging"), actor="ann", kind="adopted", body={"candidate": "adopted"}
        )
        verdict = Verdict("v", "m", "production", "judged", "beaten", "r", "d", "p", False, (), now)
        tx.put("verdict", "v", verdict, model="m")
        tx.put("report", "r", Report("r", "reported", "d", now, ()), model="m")
        tx.put("data", "d", DataVersion("d", 1, Schema((), ()), "blob-d", "x", now))
        tx.set_state("hold/blob-held", {"why": "an incident"})
    for name in ("bundles/unrecorded", "training/digest", *(f"bundles/{m}" for m in MODELS)):
        (folder / name).mkdir(parents=True)
        (folder / name / "model.onnx").write_bytes(b"x" * 10)
    (folder / "blobs").mkdir()
    for name in ("blob-d", "blob-held", "blob-lost", ".tmp-dead"):
        (folder / "blobs" / name).write_bytes(b"x")
    return store


def age(folder, seconds):
    then = time.time() - seconds
    for path in sorted(folder.rglob("*"), reverse=True):
        os.utime(path, (then, then))


LOST = ["idle", "unrecorded", ".tmp-dead", "blob-lost", "digest"]


def test_what_nothing_names_goes_and_the_rest_stays(full, folder, clock):
    age(folder, 7200)
    would = collect(folder, clock, dry_run=True)
    assert (would.ids, would.bytes) == (LOST, 32)
    assert (folder / "bundles" / "idle").is_dir()
    assert collect(folder, clock) == would
    assert sorted(p.name for p in (folder / "bundles").iterdir()) == ["adopted", "beaten", "judged", "reported"]
    assert sorted(p.name for p in (folder / "blobs").iterdir()) == ["blob-d", "blob-held"]
    assert collect(folder, clock).ids == []


def test_what_a_run_in_progress_has_just_written_stays(full, folder, clock):
    age(folder, 7200)
    (folder / "training" / "digest" / "epoch-2").write_bytes(b"x")
    assert collect(folder, clock).ids == [name for name in LOST if name != "digest"]
    assert collect(folder, clock, quiet_seconds=0).ids == ["digest"]


def test_an_empty_store_has_nothing_to_remove(store, folder, clock):
    assert collect(folder, clock).ids == []
