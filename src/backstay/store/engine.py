"""A SQLite engine with the settings that promises need: WAL, full synchronisation, immediate write transactions."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
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
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={PATIENCE_MS}", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _began(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN " + connection.get_execution_options().get("sqlite_begin", "DEFERRED"))

    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one snapshot."""
    with explained(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A connection that holds the write lock from its first statement, so what it read cannot have moved."""
    with explained(engine):
        options = {"sqlite_begin": "IMMEDIATE"}
        with engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection


@contextmanager
def explained(engine: Engine) -> Iterator[None]:
    """Turn SQLite's complaints into ours. Whatever was begun has been rolled back by then."""
    where = engine.url.database
    try:
        yield
    except OperationalError as error:
        text = str(error.orig)
        if "locked" in text or "busy" in text:
            raise Conflict("another process holds the store", fix="let it finish and try again") from error
        if "full" in text or "disk I/O" in text:
            raise BackstayError(
                f"the store {where} could not be written ({text}); nothing was changed", fix="free some disk space"
            ) from error
        if "readonly" in text or "unable to open" in text:
            raise BackstayError(
                f"the store {where} cannot be opened for writing ({text})", fix="check who owns the folder"
            ) from error
        raise
    except DatabaseError as error:
        if isinstance(error.orig, sqlite3.DatabaseError) and "not a database" in str(error.orig):
            raise Tampered(f"{where} is not a Backstay store", fix="restore a backup") from error
        raise


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
        if os.path.commonpath([here, point]) == point and len(point) > len(best):
            best, kind = point, fields[2]
    if kind in REMOTE_SYSTEMS:
        raise BackstayError(
            f"{folder} lies on a network file system ({kind}), where SQLite's locks cannot be trusted",
            fix="put store.path on a local disk",
        )
