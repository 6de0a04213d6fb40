"""Begin: write the project file that everything else reads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backstay.data.proposal import propose, propose_adoption
from backstay.kernel.errors import BackstayError
from backstay.settings import FILE_NAME, parse, read


@dataclass(frozen=True)
class Begun:
    """The project file that was written."""

    file: str
    text: str


def begin(
    source: Path,
    *,
    target: str | None,
    time: str | None,
    group: str | None,
    name: str | None,
    folder: Path,
    force: bool,
) -> Begun:
    """Look at the data and write a commented project file. An existing one is kept unless `force`."""
    file = folder / FILE_NAME
    if file.exists() and not force:
        raise BackstayError(f"{file} is already there", fix="edit it, or replace it with --force")
    text = propose(source, target=target, time=time, group=group, name=name, folder=folder)
    write(file, text)
    return Begun(str(file), text)


def project_for_adoption(
    folder: Path, reference: Path, target: str, *, predictions_only: bool, **columns: Any
) -> Path:
    """The project file of an adoption: the existing one, or a new one that fits the reference rows."""
    file = folder / FILE_NAME
    if file.exists():
        parse(read(file))
        return file
    text = propose_adoption(reference, target=target, predictions_only=predictions_only, folder=folder, **columns)
    write(file, text)
    return file


def write(file: Path, text: str) -> None:
    """Write a project file that parses, whole or not at all."""
    import tomllib

    parse(tomllib.loads(text))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".toml.tmp")
        with fresh.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(file)
    except OSError as error:
        raise BackstayError(
            f"{file} cannot be written ({error.strerror})", fix="choose a folder that you may write to, with --project"
        ) from error
