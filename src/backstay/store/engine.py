"""A SQLite engine with the settings that promises need: WAL, full synchronisation, immediate write transactions."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from backstay.kernel.errors import BackstayError, Conflict, Tampered

PATIENCE_MS = 5000
REMOTE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs", "lustre")


def make_engine(path: Path) -> Engine:
    """An engine over this database file. Transactions begin as the connection's `sqlite_begin` option says."""
    # A connection a use: the CLI uses few, and a server's poller keeps its own.
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (f"busy_timeout={PATIENCE_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _began(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN " + connection.get_execution_options().get("sqlite_begin", "DEFERRED"))

    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one snapshot."""
    with explained(engine.url.database), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A connection that holds the write lock from its first statement, so what it read cannot have moved."""
    with explained(engine.url.database):
        options = {"sqlite_begin": "IMMEDIATE"}
        with engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection


@contextmanager
def explained(where: Path | str | None) -> Iterator[None]:
    """Turn SQLite's complaints into ours. Whatever was begun has been rolled back by then."""
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as error:
        # Statements fail with SQLAlchemy's wrapper, the settings of a fresh connection with SQLite's own error.
        known = _explanation(str(error.orig if isinstance(error, DatabaseError) else error), where)
        if known is None:
            raise
        raise known from error


def _explanation(text: str, where: Path | str | None) -> BackstayError | None:
    if "locked" in text or "busy" in text:
        return Conflict("another process holds the store", fix="let it finish and try again")
    if "full" in text or "disk I/O" in text:
        return BackstayError(
            f"the store {where} could not be written ({text}); nothing was changed", fix="free some disk space"
        )
    if "readonly" in text or "unable to open" in text:
        return BackstayError(
            f"the store {where} cannot be opened for writing ({text})", fix="check who owns the folder"
        )
    if "not a database" in text or "malformed" in text:
        return Tampered(f"{where} is not a Backstay store, or is damaged ({text})", fix="restore a backup")
    return None


def refuse_network_folder(folder: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """SQLite's locks cannot be trusted on a network file system, so a store there is refused (Linux only)."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return
    best, kind = "", ""
    here = str(folder.resolve())
    for line in lines:
        fields = line.split()
        point = fields[1].replace("\\040", " ")
        if os.path.commonpath([here, point]) == point and len(point) >= len(best):
            best, kind = point, fields[2]
    if kind in REMOTE_SYSTEMS:
        raise BackstayError(
            f"{folder} lies on a network file system ({kind}), where SQLite's locks cannot be trusted",
            fix="put store.path on a local disk",
        )
