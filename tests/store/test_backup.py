"""Backup and restore, drilled: the restored store answers, verifies, and has its journal, bundles and blobs."""

from __future__ import annotations

import errno
import shutil
import threading
from pathlib import Path

import pytest

from backstay.kernel.errors import BackstayError, NotFound, Tampered
from backstay.store import backup as module
from backstay.store.backup import backup, restore
from backstay.store.sql import FILE, open_store


@pytest.fixture
def furnished(store, folder, publish, tmp_path):
    publish(1)
    publish(2, "model-b")
    source = tmp_path / "rows"
    source.write_bytes(b"rows")
    store.blobs.put_file("data-1", source)
    for name in ("journal/segments/p-1.seg", "journal/parts/m/production/part-1.parquet", "bundles/model-a/model.onnx"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    (folder / "blobs" / ".tmp-half").write_bytes(b"half")
    (folder / ".tmp-half").write_bytes(b"half")
    return store


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


KEPT = ["blobs/data-1", "bundles/model-a/model.onnx", "journal/parts/m/production/part-1.parquet"]


def test_a_restored_backup_is_the_store(furnished, folder, tmp_path, clock):
    copy = tmp_path / "copies" / "monday"
    backup(folder, copy)
    assert names(copy) == [*KEPT, "journal/segments/p-1.seg", FILE]
    head = furnished.head()
    shutil.rmtree(folder)
    folder.mkdir()  # an empty folder is no store
    restore(copy, folder)
    again = open_store(folder, clock)
    assert again.head() == head
    assert again.verify(head) == []
    assert again.champion("m", "production").model_id == "model-b"
    assert again.blobs.path("data-1").read_bytes() == b"rows"
    assert (folder / "journal/segments/p-1.seg").read_bytes() == b"journal/segments/p-1.seg"
    with again.transaction() as tx:
        tx.append("after", {}, actor="ann")
    assert again.verify(head) == []
    assert names(copy) == [*KEPT, "journal/segments/p-1.seg", FILE]  # looking at a backup leaves nothing in it


def test_a_backup_under_writing_is_one_moment(furnished, folder, tmp_path, clock):
    stop = threading.Event()

    def write():
        while not stop.is_set():
            with furnished.transaction() as tx:
                tx.append("note", {"fill": "x" * 500}, actor="ann")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for i in range(3):
            backup(folder, tmp_path / f"copy{i}")
    finally:
        stop.set()
        writer.join()
    for i in range(3):
        assert open_store(tmp_path / f"copy{i}", clock).verify() == []


def test_a_file_that_compaction_takes_away_makes_the_copy_begin_anew(furnished, folder, tmp_path, monkeypatch):
    copy, turns = shutil.copytree, []

    def compacting(source, target, *options, **more):
        if Path(source).name == "segments" and not turns:  # parts have been copied by now
            turns.append(1)
            (folder / "journal/segments/p-1.seg").unlink()
            (folder / "journal/parts/m/production/part-2.parquet").write_bytes(b"p-1")
        copy(source, target, *options, **more)

    monkeypatch.setattr(module.shutil, "copytree", compacting)
    backup(folder, tmp_path / "copy")
    assert names(tmp_path / "copy") == [*KEPT, "journal/parts/m/production/part-2.parquet", FILE]


def test_a_full_disk_leaves_no_backup(furnished, folder, tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "synchronise_tree", full)
    with pytest.raises(BackstayError, match="No space left"):
        backup(folder, tmp_path / "copy")
    monkeypatch.undo()
    backup(folder, tmp_path / "good")
    monkeypatch.setattr(module.shutil, "copytree", lambda *a, **k: None)
    with pytest.raises(BackstayError, match="could not be copied"):
        backup(folder, tmp_path / "copy")
    monkeypatch.setattr(module.shutil, "copytree", full)
    with pytest.raises(BackstayError, match="No space left"):
        restore(tmp_path / "good", tmp_path / "elsewhere")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".backstay", "good", "rows"]


def test_nothing_is_overwritten(furnished, folder, tmp_path):
    backup(folder, tmp_path / "copy")
    with pytest.raises(BackstayError, match="is there already"):
        backup(folder, tmp_path / "copy")
    with pytest.raises(BackstayError, match="holds a store already"):
        restore(tmp_path / "copy", folder)
    with pytest.raises(BackstayError, match="in the store itself"):
        backup(folder, folder / "copy")


def test_what_is_no_store_or_backup_is_refused(tmp_path):
    with pytest.raises(NotFound, match="no store"):
        backup(tmp_path, tmp_path.parent / "copy")
    with pytest.raises(NotFound, match="not a backup"):
        restore(tmp_path, tmp_path / "x")


def test_a_damaged_backup_is_not_restored(furnished, folder, tmp_path):
    backup(folder, tmp_path / "copy")
    whole = bytearray((tmp_path / "copy" / FILE).read_bytes())
    whole[4096 * 3 : 4096 * 5] = b"\xff" * 8192
    (tmp_path / "copy" / FILE).write_bytes(whole)
    with pytest.raises(Tampered, match="damaged"):
        restore(tmp_path / "copy", tmp_path / "x")
    assert not (tmp_path / "x").exists()
