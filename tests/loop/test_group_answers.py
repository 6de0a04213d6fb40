"""What slices are answered, and what moved in one, from the log and from a past that was never logged, to the alarm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.kernel.clock import ManualClock
from backstay.kernel.records import Signal
from backstay.project import Project

START = datetime(2026, 1, 5, tzinfo=UTC)


def answered(rows: int, seed: int, begin: datetime, *, refused: str | None = None) -> pa.Table:
    """A week's rows of three groups; every row of the refused one is answered no, but for one in ten."""
    rng = np.random.default_rng(seed)
    grp = rng.choice(["a", "b", "c"], rows)
    answer = rng.choice(["no", "yes"], rows)
    answer[(grp == refused) & (np.arange(rows) % 10 > 0)] = "no"
    return pa.table(
        {
            "id": [f"r{seed}-{i}" for i in range(rows)],
            "at": pa.array([begin + timedelta(days=7 * i / rows) for i in range(rows)]),
            "x": rng.normal(size=rows),
            "grp": grp,
            "prediction": answer,
            "y": answer,
        }
    )


@pytest.fixture(params=["group_answers", "slices"])
def project(tmp_path: Path, request: pytest.FixtureRequest) -> Project:
    pq.write_table(answered(1500, 0, START - timedelta(days=30)), tmp_path / "reference.parquet")
    backstay.adopt(
        None,
        reference=tmp_path / "reference.parquet",
        target="y",
        predictions_only=True,
        row_id="id",
        time="at",
        slices=["grp"],
        name="tiny",
        folder=tmp_path,
        clock=ManualClock(START),
    )
    file = tmp_path / "backstay.toml"
    asked = f'[watch]\ndetectors = ["{request.param}"]\n'
    text = file.read_text()
    file.write_text(text.replace("[watch]\n", asked) if "[watch]\n" in text else f"{text}\n{asked}")
    return backstay.open(tmp_path, clock=ManualClock(START + timedelta(days=30)))


def judged(project: Project, table: pa.Table, how: str, folder: Path) -> Signal:
    if how == "log":
        project.monitor.log(table)
        (window,) = project.monitor.watch(close_now=True).windows
    else:
        pq.write_table(table, folder / "past.parquet")
        (window,) = project.monitor.backfill(folder / "past.parquet").windows
    (signal,) = window.signals
    return signal


@pytest.mark.parametrize("how", ["log", "backfill"])
@pytest.mark.parametrize("refused", [None, "b"])
def test_a_group_that_is_refused_is_named(project: Project, tmp_path: Path, how: str, refused: str | None) -> None:
    signal = judged(project, answered(1200, 1, START, refused=refused).drop_columns(["y"]), how, tmp_path)
    assert signal.figures["judged"], signal.message
    assert signal.alarm == (refused is not None)
    assert not refused or signal.moved[0].startswith(("grp=b, answer 'yes'", "grp=b: answers "))


@pytest.mark.parametrize("how", ["log", "backfill"])
def test_without_the_column_it_is_not_judged(project: Project, tmp_path: Path, how: str) -> None:
    table = answered(1200, 1, START).drop_columns(["y", "grp"])
    signal = judged(project, table, how, tmp_path)
    assert signal.message == "not judged: the window has no column 'grp'"
