"""Append-only files of frames: [length u32][CRC-32 u32][payload]. A torn end is what a killed writer leaves."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from backstay.kernel.errors import Tampered

HEADER = struct.Struct("<II")
MOST_BYTES = 256 * 2**20
SEARCHED_BYTES = 2**20


def frame(payload: bytes) -> bytes:
    """One frame, ready to be appended."""
    return HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def frames(path: Path, offset: int = 0) -> Iterator[tuple[bytes, int]]:
    """Payloads from this offset on, each with the offset behind it. A torn last frame is left out.

    Raises Tampered when a frame that others follow does not match its checksum.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(offset)
        while True:
            header = file.read(HEADER.size)
            if len(header) < HEADER.size:
                return
            length, checksum = HEADER.unpack(header)
            if length == 0:
                # No frame is empty: zeros are what a file system may leave behind when the power went.
                return
            end = offset + HEADER.size + length
            if end > size:
                if _later_frame(path, offset + 1, size):
                    raise _damaged(path, offset)
                return
            payload = file.read(length)
            if length > MOST_BYTES or zlib.crc32(payload) != checksum:
                if end == size:
                    return
                raise _damaged(path, offset)
            offset = end
            yield payload, offset


def _later_frame(path: Path, start: int, size: int) -> bool:
    """Whether a sound frame follows: then what looks like a torn end, which nothing follows, is a damaged length."""
    with path.open("rb") as file:
        file.seek(start)
        rest = file.read(min(size - start, SEARCHED_BYTES))
    for place in range(len(rest) - HEADER.size):
        length, checksum = HEADER.unpack_from(rest, place)
        body = place + HEADER.size
        if 0 < length <= len(rest) - body and zlib.crc32(rest[body : body + length]) == checksum:
            return True
    return False


def _damaged(path: Path, offset: int) -> Tampered:
    return Tampered(
        f"{path} is damaged at byte {offset}: a frame does not match its checksum",
        fix="restore the journal from a backup; rows before that place can still be read",
    )


class SegmentWriter:
    """Appends frames to one file. `write` survives the death of the process, `synchronise` that of the machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _opened(path)
        self.size = os.fstat(self._file).st_size

    def write(self, data: bytes) -> None:
        """Append whole or raise OSError; a short write is cut off again, so no later frame hides behind it."""
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, self.size)
            raise
        self.size += written

    def synchronise(self) -> None:
        os.fsync(self._file)

    def close(self) -> None:
        os.fsync(self._file)
        os.close(self._file)


def in_use(path: Path) -> bool:
    """Whether a living writer holds this segment."""
    handle = os.open(path, os.O_RDWR)
    try:
        return not _try_lock(handle)
    finally:
        os.close(handle)


def _opened(path: Path) -> int:
    """The file, locked. Who compacts may have taken it for a finished one before the lock was there: then once more."""
    while True:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            _lock(handle)
            if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except OSError:
            os.close(handle)
            raise
        os.close(handle)


def _lock(handle: int) -> None:
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _try_lock(handle: int) -> bool:
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
