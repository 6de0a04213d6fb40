"""A text file written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from backstay.kernel.errors import BackstayError


def write_whole(file: Path, text: str, *, fix: str) -> Path:
    """Write, sync and rename.

    Args:
        fix: what to do when that is not allowed here.

    Raises:
        BackstayError: it cannot be written; what was there before is as it was.
    """
    fresh = file.with_name(f"{file.name}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(file)
    except OSError as error:
        if file.parent.is_dir():
            fresh.unlink(missing_ok=True)
        raise BackstayError(f"{file} cannot be written ({error.strerror})", fix=fix) from error
    return file
