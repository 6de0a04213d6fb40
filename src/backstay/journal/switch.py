"""Change several files of the log in one step: all new ones stand and all old ones are gone, or nothing happened.

New content is written beside its place first. Then one record names what comes and what goes; once it is on disk the
change has happened, and whoever finds it there after a kill carries it out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backstay.journal.lock import locked
from backstay.journal.parts import write_rows
from backstay.journal.rows import Rows
from backstay.kernel.disk import synchronise
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Json

RECORD = "switch.json"
READING = "reading.lock"
CHANGING = "changing.lock"
NEXT = ".next"


class Switch:
    """One change to the files in this folder. Nothing is seen of it before `commit`.

    Only who holds `changing` may make one.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._put: list[Path] = []
        self._drop: list[Path] = []

    def put_rows(self, target: Path, rows: Rows) -> None:
        """Let this file hold these rows."""
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_rows(_next(target), rows)
        except OSError as error:
            raise _unwritable(self._directory, error) from error
        self._put.append(target)

    def put_json(self, target: Path, value: Json) -> None:
        """Let this file hold this value."""
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _next(target).write_text(json.dumps(value, sort_keys=True))
            synchronise(_next(target))
        except OSError as error:
            raise _unwritable(self._directory, error) from error
        self._put.append(target)

    def drop(self, path: Path) -> None:
        """Let this file be gone."""
        self._drop.append(path)

    def commit(self) -> None:
        """Make it so, all at once."""
        if not self._put and not self._drop:
            return
        for folder in {target.parent for target in self._put}:
            synchronise(folder)
        names = {
            "put": [str(p.relative_to(self._directory)) for p in self._put],
            "drop": [str(p.relative_to(self._directory)) for p in self._drop],
        }
        record = self._directory / RECORD
        with locked(self._directory / READING):
            try:
                _next(record).write_text(json.dumps(names))
                synchronise(_next(record))
                _next(record).replace(record)
                synchronise(self._directory)
            except OSError as error:
                raise _unwritable(self._directory, error) from error
            _carry_out(self._directory)


@contextmanager
def changing(directory: Path) -> Iterator[None]:
    """Be the only one who rearranges the log. What a killed process had begun is finished or cleared away first."""
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / CHANGING):
        with locked(directory / READING):
            _carry_out(directory)
        for leaving in directory.rglob(f"*{NEXT}"):
            leaving.unlink(missing_ok=True)
        yield


@contextmanager
def reading(directory: Path) -> Iterator[None]:
    """See one arrangement of the files, whole, for as long as this lasts."""
    if not directory.is_dir():
        yield
        return
    while True:
        with locked(directory / READING, shared=True):
            if not (directory / RECORD).exists():
                yield
                return
        with locked(directory / READING):
            _carry_out(directory)


def _carry_out(directory: Path) -> None:
    """Do what the record says, however much of it was done before."""
    record = directory / RECORD
    if not record.exists():
        return
    names = json.loads(record.read_text())
    targets = [directory / name for name in names["put"]]
    for target in targets:
        if _next(target).exists():
            _next(target).replace(target)
    for folder in {target.parent for target in targets}:
        synchronise(folder)
    for name in names["drop"]:
        (directory / name).unlink(missing_ok=True)
    record.unlink()
    synchronise(directory)


def _next(target: Path) -> Path:
    return target.with_name(target.name + NEXT)


def _unwritable(directory: Path, error: OSError) -> BackstayError:
    return BackstayError(
        f"the log {directory} cannot be written ({error.strerror or error}); it is as it was",
        fix="free disk space or check the folder's owner",
    )
