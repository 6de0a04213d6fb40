"""Where the log's files are: segments that servers write, imports as they came, and one Parquet file a day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from backstay.journal.rows import Rows
from backstay.journal.writer import SEGMENTS
from backstay.kernel.ids import digest

PARTS = "parts"
FORGOTTEN = "forgotten.json"


@dataclass(frozen=True, slots=True)
class DayFile:
    """Rows of one UTC day, release and set of columns. A name is `day-2026-03-01-0000-TAG.parquet`."""

    path: Path
    day: date
    number: int
    tag: str

    @staticmethod
    def of(folder: Path, day: date, number: int, tag: str) -> DayFile:
        return DayFile(folder / f"day-{day.isoformat()}-{number:04d}-{tag}.parquet", day, number, tag)

    @staticmethod
    def named(path: Path) -> DayFile:
        _, year, month, day, number, tag = path.stem.split("-")
        return DayFile(path, date(int(year), int(month), int(day)), int(number), tag)


@dataclass(frozen=True, slots=True)
class Layout:
    """The files below this folder."""

    directory: Path

    def folder(self, model: str, environment: str) -> Path:
        """Where the rows of one model in one environment lie as Parquet."""
        return self.directory / PARTS / model / environment

    def scopes(self) -> Iterator[tuple[str, str]]:
        """Models and environments that have Parquet files."""
        for folder in sorted((self.directory / PARTS).glob("*/*")):
            if folder.is_dir():
                yield folder.parent.name, folder.name

    def days(self, folder: Path) -> list[DayFile]:
        """Compacted files, oldest day first. No id is in two of them, nor twice in one."""
        return sorted(map(DayFile.named, folder.glob("day-*.parquet")), key=lambda f: (f.day, f.number, f.tag))

    def loose(self, folder: Path) -> list[Path]:
        """Files that are not sorted by day: imports, and what earlier versions made of a segment. In order of time."""
        return sorted(folder.glob("part-*.parquet"))

    def segments(self, kind: str) -> list[Path]:
        """Segments of predictions ("p") or feedback ("f"), in the order in which they were begun."""
        folder = self.directory / SEGMENTS
        return sorted(folder.glob(f"{kind}-*.seg")) if folder.is_dir() else []

    def forgotten(self, model: str, environment: str) -> frozenset[str]:
        """Ids of this model that are erased and may still lie in a segment that a server writes."""
        return self.all_forgotten().get((model, environment), frozenset())

    def all_forgotten(self) -> dict[tuple[str, str], frozenset[str]]:
        """The same of every model and environment: the same id may name another row there."""
        path = self.directory / FORGOTTEN
        found = json.loads(path.read_text()) if path.exists() else {}
        return {(model, place): frozenset(ids) for model, places in found.items() for place, ids in places.items()}


def tag_of(rows: Rows) -> str:
    """Names rows of one release by what is logged of them: only like is joined with like, so nothing gets lost."""
    shape: dict[str, object] = {
        "release": str(rows.releases[0]),
        "scores": None if rows.scores is None else rows.scores.shape[1],
        "embeddings": None if rows.embeddings is None else rows.embeddings.shape[1],
        "inputs": None if rows.inputs is None else [[f.name, str(f.type)] for f in rows.inputs.schema],
    }
    if rows.latencies is not None:
        shape["latencies"] = True
    return digest(shape)[:8]


def without(rows: Rows, gone: frozenset[str]) -> Rows:
    """The rows whose ids are not among these."""
    if not gone or not len(rows):
        return rows
    return rows.take(np.array([str(i) not in gone for i in rows.ids], dtype=np.bool_))


def day_of(at: datetime) -> date:
    """The UTC day that a moment with a zone lies in."""
    return at.astimezone(UTC).date()
