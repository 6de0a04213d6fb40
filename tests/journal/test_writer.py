"""The writer: on file before it returns, from several threads, and honest about a full disk."""

from __future__ import annotations

import shutil
import threading

import pytest

from backstay.journal import writer as module
from backstay.journal.entries import Feedback
from backstay.journal.reader import Journal
from backstay.journal.writer import JournalFull, JournalWriter


def test_what_was_appended_can_be_read_before_it_is_closed(tmp_path, entry, manifests):
    with JournalWriter(tmp_path) as writer:
        writer.append_predictions([entry("a", "bb"), entry("c")])
        rows = Journal(tmp_path).rows("risk", "production", manifests=manifests)
    assert rows.ids.tolist() == ["a", "bb", "c"]
    assert rows.inputs is not None
    assert rows.inputs.column("age").to_pylist() == [1.0, 2.0, 1.0]
    assert rows.inputs.column("city").to_pylist() == ["Rome"] * 3


def test_several_threads(tmp_path, entry, monkeypatch):
    monkeypatch.setattr(module, "ROTATE_BYTES", 20_000)
    with JournalWriter(tmp_path) as writer:

        def work(name):
            for i in range(100):
                writer.append_predictions([entry(f"{name}-{i}")])

        threads = [threading.Thread(target=work, args=(n,)) for n in "abcd"]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert len(list((tmp_path / "segments").glob("p-*.seg"))) > 1
    assert len(set(Journal(tmp_path).ids("risk", "production"))) == 400


def test_a_full_disk_is_told_and_nothing_is_written(tmp_path, entry):
    with JournalWriter(tmp_path, minimum_free_bytes=2**60) as writer:
        with pytest.raises(JournalFull, match=r"bytes are free.*minimum_free_bytes"):
            writer.append_predictions([entry("a")])
        with pytest.raises(JournalFull):
            writer.append_feedback([Feedback("risk", "production", "a", "yes", "key:x", 1)])
    assert list(Journal(tmp_path).ids("risk", "production")) == []


def test_space_is_looked_at_again_before_the_reserve_is_used(tmp_path, entry, monkeypatch):
    free = [10_000_000]
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, free[0]))
    with JournalWriter(tmp_path, minimum_free_bytes=5_000_000) as writer:
        writer.append_predictions([entry("a")])
        free[0] = 0
        batch = [entry(f"b{i}") for i in range(20_000)]
        with pytest.raises(JournalFull):
            writer.append_predictions(batch)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "segments").write_text("in the way")
    with pytest.raises(JournalFull, match="cannot be opened"):
        JournalWriter(tmp_path)
