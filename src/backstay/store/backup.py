"""A consistent copy of all state while servers go on running, and the way back."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, nullcontext, suppress
from pathlib import Path

from backstay.journal.reader import Journal
from backstay.kernel.disk import synchronise
from backstay.kernel.errors import BackstayError, NotFound, Tampered
from backstay.store.engine import explained
from backstay.store.files import TEMPORARY, synchronise_tree
from backstay.store.sql import FILE

SIDE_FILES = (FILE, f"{FILE}-wal", f"{FILE}-shm")
JOURNAL = "journal"
ATTEMPTS = 5


def backup(state: Path, target: Path) -> None:
    """Copy the store to a new folder: the database through SQLite's own backup, files after it.

    The order matters: a file that the copied database names was there before the database was copied. What is
    appended to the journal after its copy began may be missing from it; a torn last frame is skipped when read.
    """
    if not (state / FILE).is_file():
        raise NotFound(f"there is no store in {state}", fix="name the project with --project")
    if target.exists():
        raise BackstayError(f"{target} is there already", fix="name a new folder; a backup never overwrites")
    if target.resolve().is_relative_to(state.resolve()):
        raise BackstayError(f"{target} lies in the store itself", fix="name a folder elsewhere, best on another disk")
    fresh = target.with_name(target.name + ".partial")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        _copy_database(state / FILE, fresh / FILE)
        with Journal(state / JOURNAL).steady() if (state / JOURNAL).is_dir() else nullcontext():
            for entry in sorted(state.iterdir()):
                if entry.name in SIDE_FILES or entry.name.startswith(TEMPORARY):
                    continue
                _copy_steadily(entry, fresh / entry.name)
        synchronise_tree(fresh)
        fresh.rename(target)
        synchronise(target.parent)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise BackstayError(
            f"the backup {target} could not be written ({error.strerror or error}); nothing was left there",
            fix="free disk space or name another folder",
        ) from error
    except BackstayError:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _copy_steadily(entry: Path, target: Path) -> None:
    """Copy a file or folder; begin anew when compaction or `gc` took a file away meanwhile, so no row is missed."""
    for _ in range(ATTEMPTS):
        if entry.is_file():
            shutil.copy2(entry, target)
            return
        before = _files_of(entry)
        with suppress(FileNotFoundError, shutil.Error):
            shutil.copytree(entry, target, ignore=shutil.ignore_patterns(f"{TEMPORARY}*", "*.tmp", "*.lock"))
            if before <= _files_of(target):
                return
        # A full disk comes back as the same error on the last round, which is then raised below.
        shutil.rmtree(target, ignore_errors=True)
    raise BackstayError(
        f"the files of {entry} could not be copied: they change too fast, or the disk is full",
        fix="free disk space and try again when less is going on",
    )


def _files_of(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and not _passing(p.name)}


def _passing(name: str) -> bool:
    return name.startswith(TEMPORARY) or name.endswith((".tmp", ".lock"))


def restore(source: Path, state: Path) -> None:
    """Put a backup in place where no store is, after checking that its database is whole."""
    if not (source / FILE).is_file():
        raise NotFound(f"{source} is not a backup", fix="name a folder that `backstay backup` wrote")
    if state.exists() and any(state.iterdir()):
        raise BackstayError(f"{state} holds a store already", fix="move it away first; nothing is overwritten")
    _refuse_damage(source / FILE)
    fresh = state.with_name(state.name + ".partial")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        shutil.copytree(source, fresh)
        synchronise_tree(fresh)
        if state.exists():
            state.rmdir()
        fresh.rename(state)
        synchronise(state.parent)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise BackstayError(
            f"{source} could not be restored to {state} ({error.strerror or error}); nothing was left there",
            fix="free disk space or check who owns the folder",
        ) from error


def _refuse_damage(file: Path) -> None:
    # `immutable` keeps SQLite from leaving files of its own beside the backup.
    with explained(file), closing(sqlite3.connect(f"{file.resolve().as_uri()}?immutable=1", uri=True)) as connection:
        verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
    if verdict != "ok":
        raise Tampered(f"the database of {file.parent} is damaged ({verdict})", fix="use another backup")


def _copy_database(source: Path, target: Path) -> None:
    with explained(target), closing(sqlite3.connect(source)) as origin, closing(sqlite3.connect(target)) as copy:
        origin.backup(copy)
