"""Opening, creating, and every reason why a store cannot be used."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event

from backstay.kernel.errors import BackstayError, Conflict, NotFound, StoreTooNew, Tampered
from backstay.store import create, tables
from backstay.store import engine as engines
from backstay.store.engine import refuse_network_folder
from backstay.store.sql import FILE, open_store


def execute(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(statement)
        connection.commit()


def test_a_missing_store_is_made_only_on_request(folder, clock):
    with pytest.raises(NotFound, match="no store"):
        open_store(folder, clock)
    assert not folder.exists()
    open_store(folder, clock, create=True)
    assert open_store(folder, clock).version == tables.SCHEMA_VERSION
    assert sorted(p.name for p in folder.iterdir()) == [FILE]


def test_the_promised_settings_are_on(store):
    with engines.reading(store._engine) as connection:
        said = [connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("journal_mode", "synchronous")]
        patience = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
    assert said == ["wal", 2]
    assert patience == engines.PATIENCE_MS


def test_a_store_from_the_future_is_refused(store, folder, clock):
    execute(folder / FILE, "UPDATE meta SET value = '99' WHERE key = 'version'")
    with pytest.raises(StoreTooNew, match="version 99, this Backstay knows 1"):
        open_store(folder, clock)


def test_an_older_store_asks_for_upgrade(store, folder, clock):
    execute(folder / FILE, "UPDATE meta SET value = '0' WHERE key = 'version'")
    with pytest.raises(BackstayError, match="backstay upgrade"):
        open_store(folder, clock)


def test_a_file_that_is_no_store_is_refused(folder, clock):
    folder.mkdir()
    (folder / FILE).write_bytes(b"this is a text file, not a database, and it is long enough" * 40)
    with pytest.raises(Tampered, match="not a Backstay store"):
        open_store(folder, clock)


def test_another_programs_database_is_refused(folder, clock):
    folder.mkdir()
    execute(folder / FILE, "CREATE TABLE theirs (a)")
    with pytest.raises(BackstayError, match="not a Backstay store"):
        open_store(folder, clock)


def test_a_damaged_page_is_told(store, folder, clock):
    for i in range(40):
        with store.transaction() as tx:
            tx.append("note", {"i": i, "fill": "x" * 2000}, actor="ann")
    execute(folder / FILE, "PRAGMA wal_checkpoint(TRUNCATE)")
    bytes_ = bytearray((folder / FILE).read_bytes())
    for page in range(8, len(bytes_) // 4096):
        bytes_[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    (folder / FILE).write_bytes(bytes_)
    with pytest.raises(Tampered, match="damaged"):
        open_store(folder, clock).verify()


def test_a_folder_below_a_file_is_refused_with_nothing_left(tmp_path, clock):
    (tmp_path / "file").write_text("x")
    with pytest.raises(BackstayError, match="no store can be made"):
        open_store(tmp_path / "file" / ".backstay", clock, create=True)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_of_another_owner_is_refused(store, folder, tmp_path, clock):
    script = f"""
import os, sys
from pathlib import Path
from backstay.kernel.clock import SystemClock
from backstay.kernel.errors import BackstayError
from backstay.store.sql import open_store
import sqlalchemy.dialects.sqlite.pysqlite
if os.geteuid() == 0:
    os.setuid(65534)
for folder, create in (({str(folder)!r}, False), ({str(tmp_path / "new")!r}, True)):
    try:
        store = open_store(Path(folder), SystemClock(), create=create)
        with store.transaction() as tx:
            tx.append("x", {{}}, actor="eve")
    except BackstayError as error:
        print(error.what.splitlines()[0])
    else:
        print("written")
"""
    reachable = [tmp_path, *(p for p in tmp_path.parents if p.stat().st_uid == os.geteuid() and p != Path("/"))]
    modes = [(p, p.stat().st_mode & 0o7777) for p in reachable]
    try:
        for path, mode in modes:
            path.chmod(mode | 0o055)
        tmp_path.chmod(0o555)
        folder.chmod(0o555)
        (folder / FILE).chmod(0o444)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    finally:
        folder.chmod(0o755)
        (folder / FILE).chmod(0o644)
        for path, mode in modes:
            path.chmod(mode)
    first, second = done.stdout.splitlines()
    assert "cannot be opened for writing" in first, done
    assert "no store can be made" in second, done
    assert store.head()[0] == 0
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_told_and_nothing_is_half_written(store, publish):
    publish(1)
    head = store.head()

    @event.listens_for(store._engine, "connect")
    def _small(connection, _record):
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    def write():
        with store.transaction() as tx:
            tx.append("small", {}, actor="ann")
            tx.append("large", {"fill": "x" * 100_000}, actor="ann")

    with pytest.raises(BackstayError, match="could not be written") as caught:
        write()
    assert "free some disk space" in caught.value.fix
    event.remove(store._engine, "connect", _small)
    assert store.head() == head
    assert store.verify() == []
    publish(2)


def test_a_writer_that_does_not_let_go_is_a_conflict(store, folder, clock, monkeypatch):
    monkeypatch.setattr(engines, "PATIENCE_MS", 50)
    with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(Conflict, match="another process holds"), store.transaction():
            pass
        assert store.head()[0] == 0  # readers go on
        holder.execute("ROLLBACK")


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_network_file_system_is_refused(tmp_path, kind):
    mounts = tmp_path / "mounts"
    here = str(tmp_path / "my disk").replace(" ", "\\040")
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nserver:/x {here} {kind} rw 0 0\n")
    with pytest.raises(BackstayError, match=f"network file system \\({kind}\\)"):
        refuse_network_folder(tmp_path / "my disk" / "project", mounts)
    refuse_network_folder(tmp_path / "my diskette", mounts)  # the same letters, another folder


def test_a_local_disk_mounted_over_a_network_folder_is_fine(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/x {tmp_path} nfs rw 0 0\n/dev/b {tmp_path} ext4 rw 0 0\n")
    refuse_network_folder(tmp_path, mounts)
    refuse_network_folder(tmp_path, tmp_path / "no such list")


def test_two_creators_at_once_get_one_store(tmp_path):
    script = f"""
from pathlib import Path
from backstay.kernel.clock import SystemClock
from backstay.store.sql import open_store
store = open_store(Path({str(tmp_path / "s")!r}), SystemClock(), create=True)
for i in range(5):
    with store.transaction() as tx:
        tx.append("x", {{}}, actor="a")
"""
    running = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    assert [p.wait(60) for p in running] == [0, 0, 0]
    from backstay.kernel.clock import SystemClock

    store = open_store(tmp_path / "s", SystemClock())
    assert (store.head()[0], store.verify()) == (15, [])


def test_who_comes_second_keeps_the_first_ones_store(folder, clock, monkeypatch):
    real = create.synchronise

    def overtaken(path):
        monkeypatch.setattr(create, "synchronise", real)
        first = open_store(folder, clock, create=True)
        with first.transaction() as tx:
            tx.append("first", {}, actor="ann")
        real(path)

    monkeypatch.setattr(create, "synchronise", overtaken)
    store = open_store(folder, clock, create=True)
    assert [row.kind for row in store.rows()] == ["first"]
    assert not [p for p in folder.iterdir() if p.name.startswith(".tmp")]


def test_opening_asks_one_question_and_loads_no_migrations(store, folder):
    script = f"""
import sys
from pathlib import Path
from backstay.kernel.clock import SystemClock
from backstay.store.sql import open_store
open_store(Path({str(folder)!r}), SystemClock())
print([m for m in ("alembic", "torch", "pandas", "numpy", "backstay.store.upgrade") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done
