"""What is asked many times a second: it hinders nobody, leaves nothing, and notices a file that is another one."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing

import pytest

from backstay.kernel.errors import Conflict, NotFound, Tampered
from backstay.store import revisions as watching
from backstay.store.sql import FILE, open_store


def test_it_holds_up_no_writer_and_no_checkpoint(store, folder, publish):
    with store.revisions() as revision:
        revision()
        publish(1)
        revision()
        with closing(sqlite3.connect(folder / FILE)) as connection:
            assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    assert sorted(p.name for p in folder.iterdir()) == [FILE]


def test_a_store_that_is_put_in_its_place_is_another_revision(store, folder, publish, tmp_path, clock):
    with store.revisions() as revision:
        first = revision()
        folder.rename(tmp_path / "away")
        with pytest.raises(NotFound, match="is gone"):
            revision()
        assert not folder.exists()
        open_store(folder, clock, create=True)
        second = revision()
        assert second != first
        # With another connection open, what is committed stays in the log beside the file.
        with closing(sqlite3.connect(folder / FILE)) as other:
            other.execute("SELECT * FROM meta").fetchall()
            third = revision()
            publish(1)
            assert revision() not in (first, second, third)


def test_a_file_that_is_written_to_by_others_is_another_revision(store, folder):
    os.utime(folder / FILE, (0, 0))  # clocks of files are coarse
    with store.revisions() as revision:
        first = revision()
        whole = (folder / FILE).read_bytes()
        (folder / FILE).write_bytes(b"\xff" * 100 + whole[100:])
        assert revision() != first
    with store.revisions() as revision, pytest.raises(Tampered, match="damaged"):
        revision()


def test_a_store_that_is_held_is_told(store, folder, publish, monkeypatch):
    publish(1)
    monkeypatch.setattr(watching, "PATIENCE_MS", 50)
    with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        with store.revisions() as revision, pytest.raises(Conflict, match="another process holds"):
            revision()


def test_it_may_be_asked_in_another_thread_than_it_began_in(store):
    answers = []
    with store.revisions() as revision:
        first = revision()
        thread = threading.Thread(target=lambda: answers.append(revision()))
        thread.start()
        thread.join()
    assert answers == [first]
