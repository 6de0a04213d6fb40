"""A new database, which appears under its name complete or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from sqlalchemy import insert

from backstay.kernel.disk import synchronise
from backstay.kernel.errors import BackstayError
from backstay.store import tables
from backstay.store.engine import make_engine, writing
from backstay.store.files import TEMPORARY


def create_database(file: Path) -> None:
    """Make the tables in a temporary file and link it into place. Whoever comes second finds the first one's.

    Raises BackstayError when the folder cannot be made or written.
    """
    fresh = file.with_name(f"{TEMPORARY}{uuid4().hex}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _fill(fresh)
        synchronise(fresh)
        # A link, unlike a rename, never replaces a store that another process made in the meantime.
        with suppress(FileExistsError):
            os.link(fresh, file)
        synchronise(file.parent)
    except OSError as error:
        raise BackstayError(
            f"no store can be made in {file.parent} ({error.strerror})",
            fix="check who owns the folder, free disk space, or choose another with store.path",
        ) from error
    finally:
        for name in (fresh.name, f"{fresh.name}-wal", f"{fresh.name}-shm"):
            with suppress(OSError):
                (file.parent / name).unlink()


def _fill(fresh: Path) -> None:
    engine = make_engine(fresh)
    with writing(engine) as connection:
        tables.metadata.create_all(connection)
        connection.execute(insert(tables.meta).values(key="version", value=str(tables.SCHEMA_VERSION)))
    engine.dispose()
