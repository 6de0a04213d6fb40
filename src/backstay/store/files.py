"""Blobs as local files named by their content id: written under a temporary name, synchronised, renamed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from backstay.kernel.disk import synchronise
from backstay.kernel.errors import BackstayError, NotFound

TEMPORARY = ".tmp-"


class FileBlobs:
    """Implements the Blobs port over a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put_file(self, blob_id: str, source: Path) -> Path:
        """Copy a file in. One that is there already is left alone: the same id is the same content."""
        target = self._target(blob_id)
        if target.exists():
            return target
        fresh = self.folder / f"{TEMPORARY}{uuid4().hex}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, fresh)
            synchronise(fresh)
            fresh.replace(target)
            synchronise(self.folder)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise _unwritable(target, error) from error
        return target

    def path(self, blob_id: str) -> Path:
        target = self._target(blob_id)
        if not target.exists():
            raise NotFound(f"the file of {blob_id} is missing from {self.folder}", fix="restore it from a backup")
        return target

    def __contains__(self, blob_id: object) -> bool:
        return isinstance(blob_id, str) and self._target(blob_id).exists()

    def ids(self) -> Iterator[str]:
        if self.folder.is_dir():
            yield from sorted(p.name for p in self.folder.iterdir() if not p.name.startswith(TEMPORARY))

    def remove(self, blob_id: str) -> int:
        target = self.path(blob_id)
        size = size_of(target)
        target.unlink()
        return size

    def _target(self, blob_id: str) -> Path:
        # An id is ours, never a path: anything that could leave the folder is refused.
        if not blob_id or "/" in blob_id or "\\" in blob_id or blob_id.startswith("."):
            raise BackstayError(f"{blob_id!r} is not a content id", fix="use an id that Backstay printed")
        return self.folder / blob_id


def synchronise_tree(folder: Path) -> None:
    """Force everything below a folder to disk, and the folder itself."""
    for entry in folder.rglob("*"):
        synchronise(entry)
    synchronise(folder)


def _unwritable(target: Path, error: OSError) -> BackstayError:
    return BackstayError(
        f"{target} cannot be written ({error.strerror or error}); nothing was left there",
        fix="free disk space or check who owns the folder",
    )


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
