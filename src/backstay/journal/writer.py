"""The log that a server writes: an answer is on file before it is given."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from types import TracebackType

from backstay.journal.entries import Feedback, Predictions, pack
from backstay.journal.segment import SegmentWriter, frame
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import event_id

SEGMENTS = "segments"
SYNCHRONISE_EVERY = 0.05
ROTATE_BYTES = 64 * 2**20


class JournalFull(BackstayError):
    """The log cannot be written: what the server does then is policy."""


class JournalWriter:
    """Writes this process's own segments. Safe to use from several threads.

    Every write is handed to the operating system before it returns, so it survives the death of this process; a
    thread synchronises every 50 ms, which bounds what the death of the machine can take.

    Args:
        minimum_free_bytes: below this much free space nothing is written and JournalFull is raised.
    """

    def __init__(self, directory: Path, *, minimum_free_bytes: int = 0) -> None:
        self._directory = directory / SEGMENTS
        self._minimum_free = minimum_free_bytes
        self._lock = threading.Lock()
        self._dirty = threading.Event()
        self._ended = threading.Event()
        self._predictions = self._open("p")
        self._feedback = self._open("f")
        self._free_checked = 0
        self._synchroniser = threading.Thread(target=self._synchronise, daemon=True, name="journal")
        self._synchroniser.start()

    def _open(self, kind: str) -> SegmentWriter:
        try:
            return SegmentWriter(self._directory / f"{event_id(kind)}-{os.getpid()}.seg")
        except OSError as error:
            raise JournalFull(
                f"the log in {self._directory} cannot be opened ({error.strerror})",
                fix="check its owner and free space",
            ) from error

    def append_predictions(self, entries: list[Predictions]) -> None:
        """Log answers, all or none. Raises JournalFull."""
        data = b"".join(frame(pack(entry)) for entry in entries)
        with self._lock:
            if self._predictions.size > ROTATE_BYTES:
                self._predictions.close()
                self._predictions = self._open("p")
            self._write(self._predictions, data)

    def append_feedback(self, entries: list[Feedback]) -> None:
        """Log feedback, all or none. Raises JournalFull."""
        data = b"".join(frame(pack(entry)) for entry in entries)
        with self._lock:
            if self._feedback.size > ROTATE_BYTES:
                self._feedback.close()
                self._feedback = self._open("f")
            self._write(self._feedback, data)

    def _write(self, segment: SegmentWriter, data: bytes) -> None:
        self._check_free(len(data))
        try:
            segment.write(data)
        except OSError as error:
            raise JournalFull(f"the log cannot be written ({error.strerror})", fix="free some disk space") from error
        self._dirty.set()

    def _check_free(self, size: int) -> None:
        if not self._minimum_free:
            return
        self._free_checked -= size
        if self._free_checked > 0:
            return
        try:
            free = shutil.disk_usage(self._directory).free
        except OSError as error:
            raise JournalFull(f"the log's folder cannot be read ({error.strerror})", fix="bring it back") from error
        if free < self._minimum_free:
            raise JournalFull(
                f"{free} bytes are free where the log is, {self._minimum_free} are kept back",
                fix="free some disk space, or lower serve.minimum_free_bytes",
            )
        # Asking the file system for each request costs more than the write; ask again before the reserve can be used.
        self._free_checked = min(free - self._minimum_free, 2**20)

    def _synchronise(self) -> None:
        while not self._ended.wait(SYNCHRONISE_EVERY):
            if self._dirty.is_set():
                self._dirty.clear()
                with self._lock:
                    segments = (self._predictions, self._feedback)
                for segment in segments:
                    try:
                        segment.synchronise()
                    except OSError:
                        # Rotated away meanwhile (closing synchronised it), or the disk failed: the next write tells.
                        continue

    def close(self) -> None:
        """Synchronise and let go of the segments."""
        self._ended.set()
        self._synchroniser.join()
        with self._lock:
            self._predictions.close()
            self._feedback.close()

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
