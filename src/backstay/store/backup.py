"""A consistent copy of all state while servers go on running, and the way back."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from backstay.kernel.errors import BackstayError, NotFound
from backstay.store.files import synchronise
from backstay.store.sql import FILE

SIDE_FILES = (FILE, f"{FILE}-wal", f"{FILE}-shm")


def backup(state: Path, target: Path) -> None:
    """Copy the store to a new folder: the database through SQLite's own backup, files after it.

    The order matters: a file that the copied database names was there before the database was copied.
    """
    if not (state / FILE).is_file():
        raise NotFound(f"there is no store in {state}", fix="name the project with --project")
    if target.exists():
        raise BackstayError(f"{target} is there already", fix="name a new folder; a backup never overwrites")
    fresh = target.with_name(target.name + ".partial")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        _copy_database(state / FILE, fresh / FILE)
        for entry in sorted(state.iterdir()):
            if entry.name in SIDE_FILES or entry.name.startswith(".tmp"):
                continue
            if entry.is_dir():
                shutil.copytree(entry, fresh / entry.name, ignore=shutil.ignore_patterns(".tmp-*"))
            else:
                shutil.copy2(entry, fresh / entry.name)
        synchronise(fresh)
        fresh.rename(target)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise BackstayError(
            f"the backup {target} could not be written ({error.strerror}); nothing was left there",
            fix="free disk space or name another folder",
        ) from error


def restore(source: Path, state: Path) -> None:
    """Put a backup in place where no store is, after checking that its database is whole."""
    if not (source / FILE).is_file():
        raise NotFound(f"{source} is not a backup", fix="name a folder that `backstay backup` wrote")
    if state.exists() and any(state.iterdir()):
        raise BackstayError(f"{state} holds a store already", fix="move it away first; nothing is overwritten")
    with sqlite3.connect(f"file:{source / FILE}?mode=ro", uri=True) as connection:
        verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
    connection.close()
    if verdict != "ok":
        raise BackstayError(f"the database of {source} is damaged ({verdict})", fix="use another backup")
    fresh = state.with_name(state.name + ".partial")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(source, fresh)
    if state.exists():
        state.rmdir()
    fresh.rename(state)


def _copy_database(source: Path, target: Path) -> None:
    origin, copy = sqlite3.connect(source), sqlite3.connect(target)
    try:
        origin.backup(copy)
    finally:
        copy.close()
        origin.close()
