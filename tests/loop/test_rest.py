"""Looks that judge nothing: they find out what a look at the whole log would, and do not read it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.journal.reader import Journal
from backstay.kernel.clock import ManualClock
from backstay.loop import watch as watching

START = datetime(2026, 1, 5, tzinfo=UTC)


def answered(rows: int, seed: int, begin: datetime, days: float) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    chance = 1.0 / (1.0 + np.exp(-2.0 * x))
    return pa.table(
        {
            "id": [f"r{seed}-{i}" for i in range(rows)],
            "at": pa.array([begin + timedelta(days=days * i / rows) for i in range(rows)]),
            "x": x,
            "prediction": np.where(chance > 0.5, "yes", "no"),
            "score": chance,
            "y": np.where(rng.random(rows) < chance, "yes", "no"),
        }
    )


class Twin:
    """A project with a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, ManualClock(START)

    @property
    def project(self) -> backstay.project.Project:
        return backstay.open(self.folder, clock=self.clock, actor="ada")

    def log(self, rows: int, seed: int, day: float, days: float = 0.5) -> None:
        self.project.monitor.log(answered(rows, seed, START + timedelta(days=day), days).drop_columns(["y"]))

    def label(self, n: int) -> None:
        waiting = self.project.labels.queue().requests[:n]
        self.project.labels.answer([{"id": r.prediction_id, "label": "yes"} for r in waiting])


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere") / "project"
    folder.mkdir()
    pq.write_table(answered(600, 0, START - timedelta(days=90), 30), folder / "reference.parquet")
    backstay.adopt(
        None,
        reference=folder / "reference.parquet",
        target="y",
        predictions_only=True,
        score="score",
        positive="yes",
        row_id="id",
        time="at",
        name="tiny",
        folder=folder,
        clock=ManualClock(START),
    )
    return folder


STEPS = [
    ("a first week", lambda t: t.log(200, 1, 0, 7), 7.1, {}),
    ("nothing new", lambda t: None, 7.2, {}),
    ("rows of the window that fills", lambda t: t.log(15, 2, 7.2), 7.9, {}),
    ("too few to close", lambda t: None, 7.95, {"close_now": True}),
    ("late rows, out of order", lambda t: t.log(30, 3, 2.0), 8.0, {}),
    ("labels of rows judged long ago", lambda t: t.label(8), 8.1, {}),
    ("more rows are asked about", lambda t: t.project.labels.request(5), 8.2, {}),
    ("sorted by day", lambda t: t.project.ws.journal.compact(t.project.ws.manifests_of_all()), 8.3, {}),
    ("rows after that", lambda t: t.log(40, 4, 8.2), 8.9, {}),
    ("closed at once", lambda t: None, 9.0, {"close_now": True}),
    ("one is forgotten", lambda t: t.project.ws.journal.forget("tiny", "production", ids=["r4-3"]), 9.1, {}),
    ("a second week", lambda t: t.log(150, 5, 9.0, 4.9), 13.9, {}),
    ("which closes with late rows and labels", lambda t: t.label(8), 14.1, {}),
    ("and rests again", lambda t: None, 14.2, {"dry_run": True}),
]


def seen(watched) -> watching.Watched:
    """But for the moment at which a window was filed."""
    windows = tuple(replace(w, created_at=START) for w in watched.windows)
    latest = watched.latest and replace(watched.latest, created_at=START)
    return replace(watched, windows=windows, latest=latest)


def test_whoever_rests_finds_out_the_same(adopted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (Twin(Path(shutil.copytree(adopted, tmp_path / name))) for name in ("resting", "reading"))
    rest = watching.at_rest
    rested = []
    for what, happens, day, how in STEPS:
        looks = []
        for twin in (one, two):
            twin.clock.advance(START + timedelta(days=day) - twin.clock.now())
            happens(twin)
            found = []

            def look(*given, twin=twin, found=found, **more):
                found.append(None if twin is two else rest(*given, **more))
                return found[-1]

            monkeypatch.setattr(watching, "at_rest", look)
            looks.append(seen(twin.project.monitor.watch(**how)))
            if twin is one and any(found):
                rested.append(what)
        assert looks[0] == looks[1], what
    assert {"nothing new", "rows of the window that fills", "rows after that", "and rests again"} <= set(rested)
    assert not {"a first week", "closed at once", "which closes with late rows and labels"} & set(rested)
    late = [w.figures["late_rows"] for w in one.project.monitor.windows()]
    assert late[:2] == [0, 30]


def test_with_nothing_new_no_row_is_read(adopted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = Twin(Path(shutil.copytree(adopted, tmp_path / "project")))
    twin.clock.advance(timedelta(days=7.5))
    twin.log(200, 1, 0, 7)
    twin.project.monitor.watch()
    spans = []
    for name in ("rows", "log"):
        monkeypatch.setattr(Journal, name, counted(getattr(Journal, name), spans))
    twin.project.monitor.watch()
    assert spans == []
    twin.log(10, 2, 7.2, 0.1)
    twin.project.monitor.watch()
    assert spans == [START + timedelta(days=7)]


def counted(read, spans: list[datetime | None]):
    def reading(journal, *given, **how):
        spans.append(how.get("since"))
        return read(journal, *given, **how)

    return reading
