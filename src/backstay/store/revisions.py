"""Whether anything in the store has changed: asked many times a second, and answered without reading it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backstay.kernel.errors import NotFound
from backstay.store.engine import PATIENCE_MS, explained


@contextmanager
def revisions(file: Path) -> Iterator[Callable[[], tuple[int, ...]]]:
    """Yields what is asked: its answers are equal while nothing was committed and the file is the same, untouched.

    SQLite counts what others commit for a connection that stays open (`PRAGMA data_version`). Between two questions
    that connection is in no transaction, so it hinders no writer and no checkpoint.
    """
    watch = _Watch(file)
    try:
        yield watch.revision
    finally:
        watch.close()


class _Watch:
    """An open connection to the file that has this name now."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._inode: tuple[int, int] | None = None
        self._connection: sqlite3.Connection | None = None

    def revision(self) -> tuple[int, ...]:
        try:
            found = self._file.stat()
        except FileNotFoundError as error:
            raise NotFound(f"the store {self._file} is gone", fix="put it back, or restore a backup") from error
        with explained(self._file):
            version = self._connected((found.st_dev, found.st_ino)).execute("PRAGMA data_version").fetchone()[0]
        # Size and time tell what was written to the file without SQLite.
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, version

    def _connected(self, inode: tuple[int, int]) -> sqlite3.Connection:
        if self._connection is None or self._inode != inode:
            self.close()
            # A server begins in one thread and follows in another; never two at a time. `rw` makes no file anew.
            uri = f"{self._file.resolve().as_uri()}?mode=rw"
            self._connection = sqlite3.connect(uri, timeout=PATIENCE_MS / 1000, uri=True, check_same_thread=False)
            self._inode = inode
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
