"""Judged pairs by the project file: found among the training rows, others left out, nonsense refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest

import backstay
from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import BackstayError
from backstay.loop.examples import project_rows
from backstay.loop.pairs import judged_pairs


@pytest.fixture
def project(tmp_path: Path) -> backstay.Project:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 2))
    y = np.where(x.sum(axis=1) > 0, "high", "low").tolist()
    pacsv.write_csv(
        pa.table({"key": [f"r{i}" for i in range(120)], "a": x[:, 0], "b": x[:, 1], "y": y}), tmp_path / "rows.csv"
    )
    (tmp_path / "backstay.toml").write_text(
        'version = 1\nname = "rows"\n[data]\nsource = "rows.csv"\ntarget = "y"\nid = "key"\npairs = "pairs.csv"\n'
        "[train]\nepochs = 2\ndimension = 8\n[gate]\nminimum_n = 10\n"
    )
    return backstay.open(tmp_path, clock=ManualClock(datetime(2026, 1, 5, tzinfo=UTC)), actor="ada")


def write(project: backstay.Project, *pairs: tuple[str, str, str, str]) -> None:
    rows = [dict(zip(("id_a", "id_b", "verdict", "source"), p, strict=True)) for p in pairs]
    pacsv.write_csv(pa.Table.from_pylist(rows), project.ws.root / "pairs.csv")


def found(project: backstay.Project, train: range = range(60)) -> list[tuple[int, int, bool]]:
    table, schema = project_rows(project.ws)
    answer = judged_pairs(project.ws, table, schema, np.array(train))
    assert answer is not None
    return [(int(a), int(b), bool(s)) for a, b, s in zip(*answer, strict=True)]


def test_pairs_of_training_rows_alone_are_learned_from(project: backstay.Project) -> None:
    write(
        project,
        ("r2", "r1", "same", "review"),
        ("r1", "r70", "same", "review"),
        ("r3", "r4", "different", "review"),
        ("r5", "nobody", "same", "review"),
        ("r6", "r7", "same", "key:stranger"),
    )
    assert found(project) == [(1, 2, True), (3, 4, False)]


def test_a_run_says_how_many_pairs_it_learned_from(project: backstay.Project) -> None:
    write(project, *((f"r{i}", f"r{i + 1}", "same", "review") for i in range(100)))
    figures = project.models.run().model.figures
    assert 10 < figures["judged_pairs"] < 100


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("r1", "r2", "maybe", "review"), "'maybe'"),
        (("r1", "r1", "same", "review"), "paired with itself"),
        (("r1", "r2", "same", "key:stranger"), "none of the pairs"),
        (("r1", "r100", "same", "review"), "none of the pairs"),
    ],
)
def test_nonsense_is_refused(project: backstay.Project, pair: tuple[str, str, str, str], message: str) -> None:
    write(project, pair)
    with pytest.raises(BackstayError, match=message):
        found(project)


def test_a_file_without_sources_is_refused(project: backstay.Project) -> None:
    pacsv.write_csv(pa.table({"id_a": ["r1"], "id_b": ["r2"], "verdict": ["same"]}), project.ws.root / "pairs.csv")
    with pytest.raises(BackstayError, match="no column 'source'"):
        found(project)
