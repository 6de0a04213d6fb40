"""A look that reads only the days that it needs decides what one that reads the whole log does, record for record.

The whole reading lives here, as the oracle: everything that the narrow one answers is taken of rows that are all in
memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.journal.reader import Journal
from backstay.journal.rows import Rows
from backstay.kernel.clock import ManualClock
from backstay.kernel.codec import encode
from backstay.loop.lookup import window_results

START = datetime(2026, 1, 5, tzinfo=UTC)
SETTINGS = """
name = "tiny"
version = 1
task = "predictions"

[data]
source = "reference.parquet"
target = "y"
id = "id"
time = "at"
group = "owner"
slices = ["city", "plan"]
features = ["x", "z", "city"]

[predictions]
time = "at"
group = "owner"
prediction = "prediction"
score = "score"
positive = "yes"
embedding = "vector"
latency = "waited"

[watch]
windows = "{windows}"
window_days = 3.0
window_rows = 150
session_gap_hours = 3
minimum_rows = 60
season = "{season}"
detectors = [{detectors}]

[labels]
census_sources = ["audit"]
trusted_sources = ["review", "audit"]
"""
USUAL = '"embedding", "prediction", "columns", "labelled_error", "confident_errors"'
MANY = '"schema", "columns", "group_answers", "groups", "slices", "engagement", "label_quality", "service", "novelty"'
CASES = {
    "time": {"windows": "time", "season": "none", "detectors": USUAL},
    "count": {"windows": "count", "season": "none", "detectors": MANY},
    "session": {"windows": "session", "season": "day", "detectors": USUAL},
}


def answered(rows: int, seed: int, begin: datetime, days: float) -> pa.Table:
    """Answers of a model, with two hours of silence in every day's traffic."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=rows), rng.normal(size=rows)
    chance = 1.0 / (1.0 + np.exp(-2.0 * x))
    return pa.table(
        {
            "id": [f"r{seed}-{i}" for i in range(rows)],
            "at": pa.array([begin + timedelta(days=days * i / rows) for i in range(rows)]),
            "owner": [f"g{i % 40}" for i in range(rows)],
            "x": x,
            "z": z,
            "city": rng.choice(["Rome", "Oslo"], rows).tolist(),
            "plan": rng.integers(1, 4, rows),
            "vector": pa.array(np.column_stack([x, z, x * z]).astype(np.float32).tolist(), pa.list_(pa.float32())),
            "prediction": np.where(chance > 0.5, "yes", "no"),
            "score": chance,
            "waited": rng.gamma(3.0, 10.0, rows),
            "y": np.where(rng.random(rows) < chance, "yes", "no"),
        }
    )


class Whole:
    """What `ReleaseLog` answers, of rows that were all read."""

    def __init__(self, rows: Rows) -> None:
        self.rows, self.times = rows, rows.times

    def __len__(self) -> int:
        return len(self.rows)

    def sound(self) -> np.ndarray:
        return self.rows.sound()

    def take(self, chosen: np.ndarray) -> Whole:
        return Whole(self.rows.take(chosen))

    def between(self, start: datetime, end: datetime) -> Rows:
        return self.rows.between(start, end)

    def of_ids(self, ids, *, inputs=None, embeddings=True) -> Rows:
        return self.rows.take(np.array([str(i) in set(ids) for i in self.rows.ids], dtype=np.bool_))

    def inputs(self, names) -> pa.Table | None:
        return self.rows.inputs

    def ids_where(self, chosen: np.ndarray) -> Iterator[str]:
        return iter(map(str, self.rows.ids[chosen]))


@contextmanager
def whole_log(journal: Journal, model: str, environment: str, **how) -> Iterator[Whole]:
    yield Whole(journal.rows(model, environment, **how))


class Twin:
    """A project with a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, ManualClock(START)

    @property
    def project(self) -> backstay.project.Project:
        return backstay.open(self.folder, clock=self.clock, actor="ada")

    def log(self, rows: int, seed: int, day: float, days: float, without: tuple[str, ...] = (), **columns) -> None:
        table = answered(rows, seed, START + timedelta(days=day), days).drop_columns(["y"])
        table = table.drop_columns(list(without))
        for name, values in columns.items():
            table = table.drop_columns([name]) if name in table.column_names else table
            table = table.append_column(name, pa.array(values(rows)))
        self.project.monitor.log(table)

    def broken(self, seed: int, day: float) -> None:
        """Rows of a server whose scores are no numbers, or whose embeddings are of another width."""
        ws = self.project.ws
        release = ws.champion().id
        n = 12
        ids, ones = (np.empty(n, dtype=object) for _ in range(2))
        ids[:], ones[:] = [f"b{seed}-{i}" for i in range(n)], ["yes"] * n
        scores = np.tile(np.array([[0.3, 0.7]], np.float32), (n, 1))
        scores[:4] = np.nan
        at = np.datetime64((START + timedelta(days=day)).replace(tzinfo=None), "us")
        releases = np.empty(n, dtype=object)
        releases[:] = release
        wide = np.ones((n, 7), np.float32) if seed % 2 else None
        rows = Rows(ids, np.full(n, at), releases, ones, scores, wide)
        ws.journal.add(rows, **ws.scope)

    def label(self, n: int) -> None:
        waiting = self.project.labels.queue().requests[:n]
        self.project.labels.answer([{"id": r.prediction_id, "label": "yes"} for r in waiting])

    def audit(self, ids: list[str]) -> None:
        self.project.labels.answer([{"id": i, "label": "no"} for i in ids], source="audit")

    def gc(self) -> None:
        self.project.ws.journal.compact(self.project.ws.manifests_of_all())


STEPS = [
    ("three days", lambda t: t.log(260, 1, 0, 3), 3.05),
    ("more, sorted before the look", lambda t: (t.log(220, 2, 3.0, 2.9), t.gc()), 6.1),
    ("labels of old rows", lambda t: (t.label(12), t.audit([f"r1-{i}" for i in range(0, 60, 3)])), 6.2),
    ("late rows, out of order", lambda t: (t.log(25, 3, 2.0, 0.3), t.log(180, 4, 6.0, 3.4)), 9.5),
    ("rows without numbers", lambda t: (t.broken(1, 8.0), t.broken(2, 9.6)), 9.7),
    ("a column of another type", lambda t: t.log(150, 5, 9.5, 2.6, plan=lambda n: ["2", "gold"] * (n // 2)), 12.3),
    ("sorted by day, and one is forgotten", lambda t: (t.gc(), t.project.ws.journal.forget(
        "tiny", "production", ids=["r4-3"])), 12.4),
    ("a column gone and one that is new", lambda t: (t.log(90, 6, 12.2, 1.2, without=("z",)), t.log(
        90, 7, 13.4, 1.7, more=lambda n: np.arange(n) * 1.5)), 15.3),
    ("several windows at once", lambda t: (t.log(700, 8, 15.1, 9.0), t.audit([f"r5-{i}" for i in range(30)])), 24.4),
    ("late again, and closed at once", lambda t: (t.log(30, 9, 14.0, 0.2), t.log(60, 10, 24.2, 0.5)), 24.9),
]  # fmt: skip


def adopted(folder: Path, case: str) -> Path:
    folder.mkdir()
    pq.write_table(answered(700, 0, START - timedelta(days=60), 40), folder / "reference.parquet")
    (folder / "backstay.toml").write_text(SETTINGS.format(**CASES[case]))
    reference = folder / "reference.parquet"
    clock = ManualClock(START)
    backstay.adopt(None, reference=reference, target="y", predictions_only=True, folder=folder, clock=clock)
    return folder


def remembered(twin: Twin) -> dict[str, object]:
    """All that a look has left behind: windows, what detectors remember, what the next look may rest on, requests."""
    ws = twin.project.ws
    key = f"{ws.name}/{ws.environment}/{ws.champion().id}"
    noted = dict(ws.catalog.get_state(f"rest/watch/{key}") or {})
    noted.pop("log", None)  # names files by when they were written
    return {
        "windows": [encode(replace(w, created_at=START)) for w in window_results(ws)],
        "memory": ws.catalog.get_state(f"watch/{key}"),
        "noted": noted,
        "requests": [encode(r) for r in ws.catalog.requests(ws.name, ws.environment)],
    }


@pytest.mark.parametrize(
    "case", ["count", *(pytest.param(name, marks=pytest.mark.slow) for name in ("time", "session"))]
)
def test_what_is_decided_is_what_the_whole_log_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    folder = adopted(tmp_path / "narrow", case)
    one, two = Twin(folder), Twin(Path(shutil.copytree(folder, tmp_path / "whole")))
    narrow = Journal.log
    judged = 0
    for at, (what, happens, day) in enumerate(STEPS):
        told = []
        for twin, log in ((one, narrow), (two, whole_log)):
            twin.clock.advance(START + timedelta(days=day) - twin.clock.now())
            happens(twin)
            monkeypatch.setattr(Journal, "log", log)
            watched = twin.project.monitor.watch(close_now=at == len(STEPS) - 1)
            told.append((watched.pending, watched.notes, watched.requested, encode(watched.decision)))
            judged += len(watched.windows)
        assert told[0] == told[1], what
        assert remembered(one) == remembered(two), what
    windows = one.project.monitor.windows()
    assert judged == 2 * len(windows) >= 12
    assert any(w.figures["late_rows"] for w in windows)
    assert any("not numbers" in note for note in watched.notes)
