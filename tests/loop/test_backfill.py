"""A past that was never logged, judged window by window: streamed, committed one by one, never counted twice."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

import backstay
from backstay.cli.main import run
from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import BackstayError
from backstay.loop import backfill as backfilling
from backstay.project import Project

START = datetime(2026, 1, 5, tzinfo=UTC)


def answered(rows: int, seed: int, begin: datetime, days: float, *, shift: float = 0.0, stem: str = "r") -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows) + shift
    chance = 1.0 / (1.0 + np.exp(-2.0 * x))
    return pa.table(
        {
            "id": [f"{stem}{seed}-{i}" for i in range(rows)],
            "at": pa.array([begin + timedelta(days=days * i / rows) for i in range(rows)]),
            "x": x,
            "prediction": np.where(chance > 0.5, "yes", "no"),
            "score": chance,
            "y": np.where(rng.random(rows) < chance, "yes", "no"),
        }
    )


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


@pytest.fixture
def folder(adopted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(adopted, tmp_path / "project"))


def opened(folder: Path) -> Project:
    return backstay.open(folder, clock=ManualClock(START + timedelta(days=30)))


def traffic(weeks: int, *, moved: int | None = None) -> pa.Table:
    """400 rows a week from the release on; from the week `moved` on the inputs have shifted."""
    parts = [
        answered(400, 10 + w, START + timedelta(days=7 * w), 7, shift=0.6 if moved is not None and w >= moved else 0.0)
        for w in range(weeks)
    ]
    return pa.concat_tables(parts).drop_columns(["y"])


def write(folder: Path, table: pa.Table, *, files: int = 1) -> Path:
    place = folder / "past"
    place.mkdir(exist_ok=True)
    step = -(-table.num_rows // files)
    for i in range(files):
        pq.write_table(table.slice(i * step, step), place / f"{i}.parquet")
    return place


def test_windows_are_judged_oldest_first_and_kept(folder: Path) -> None:
    past = write(folder, traffic(4, moved=2), files=3)
    seen = opened(folder).monitor.backfill(past)
    assert [window.rows for window in seen.windows] == [400] * 4
    assert [window.condition.value for window in seen.windows][2:] == ["moved", "moved"]
    assert "moved" not in [window.condition.value for window in seen.windows][:2]
    assert seen.windows[0].start == START
    assert all(a.end == b.start for a, b in pairwise(seen.windows))
    assert opened(folder).status().last_window == seen.windows[-1]


def test_a_second_run_counts_nothing_twice(folder: Path) -> None:
    past = write(folder, traffic(3))
    first = opened(folder).monitor.backfill(past)
    again = opened(folder).monitor.backfill(past)
    assert again.windows == ()
    assert again.latest == first.latest
    assert any("judged before" in note for note in again.notes)


def test_a_run_that_was_stopped_goes_on_where_it_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    past = write(folder, traffic(4))
    judged = 0
    real = backfilling.watch_window

    def stopped(*given):
        nonlocal judged
        judged += 1
        if judged == 3:
            raise KeyboardInterrupt
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(backfilling, "watch_window", stopped)
        with pytest.raises(KeyboardInterrupt):
            opened(folder).monitor.backfill(past)
    rest = opened(folder).monitor.backfill(past)
    assert [window.rows for window in rest.windows] == [400, 400]
    assert rest.windows[0].start == START + timedelta(days=14)


def test_a_stop_in_the_middle_changes_no_decision(folder: Path, adopted: Path, tmp_path: Path) -> None:
    past = write(folder, traffic(4, moved=1))
    one = opened(folder).monitor.backfill(past).windows
    other = Path(shutil.copytree(adopted, tmp_path / "other"))
    half = write(other, traffic(2, moved=1))
    two = opened(other).monitor.backfill(half).windows + opened(other).monitor.backfill(past).windows
    assert len(one) == len(two) == 4
    for a, b in zip(one, two, strict=True):
        assert (a.start, a.end, a.condition, a.signals, a.budget_spent) == (
            b.start,
            b.end,
            b.condition,
            b.signals,
            b.budget_spent,
        )


def test_a_past_from_before_the_release(folder: Path) -> None:
    table = answered(500, 3, START - timedelta(days=14), 14).drop_columns(["y"])
    seen = opened(folder).monitor.backfill(write(folder, table))
    assert [window.rows for window in seen.windows] == [250, 250]
    assert seen.windows[-1].end == START


def test_thin_windows_are_joined(folder: Path) -> None:
    rows = [answered(60, 20 + w, START + timedelta(days=7 * w), 7) for w in range(4)]
    seen = opened(folder).monitor.backfill(write(folder, pa.concat_tables(rows).drop_columns(["y"])))
    assert [window.rows for window in seen.windows] == [120, 120]
    assert (seen.windows[0].end - seen.windows[0].start) == timedelta(days=14)


def cut_by(folder: Path, **watch: object) -> None:
    lines = "".join(f"{name} = {value!r}\n" for name, value in watch.items()).replace("'", '"')
    file = folder / "backstay.toml"
    text = file.read_text()
    file.write_text(
        text.replace("[watch]\n", f"[watch]\n{lines}") if "[watch]" in text else f"{text}\n[watch]\n{lines}"
    )


def decisions(windows) -> list[tuple[object, ...]]:
    return [(w.start, w.end, w.rows, w.condition, w.signals, w.budget_spent) for w in windows]


def bursts(days: int) -> pa.Table:
    """150 rows in three hours of each day, then a pause; from the fifth day on the inputs have shifted."""
    parts = [answered(150, 40 + d, START + timedelta(days=d), 0.125, shift=0.9 * (d > 4)) for d in range(days)]
    return pa.concat_tables(parts).drop_columns(["y"])


WINDOWS = [
    pytest.param({"windows": "count", "window_rows": 300}, [300] * 4, id="count"),
    pytest.param({"windows": "session", "session_gap_hours": 6.0}, [150] * 8, id="session"),
]


@pytest.mark.parametrize(("kind", "rows"), WINDOWS)
def test_windows_by_count_and_by_session(folder: Path, kind: dict[str, object], rows: list[int]) -> None:
    cut_by(folder, **kind)
    table = bursts(8)
    mixed = table.take(pa.array(np.random.default_rng(5).permutation(table.num_rows)))
    seen = opened(folder).monitor.backfill(write(folder, mixed, files=3))
    assert [window.rows for window in seen.windows] == rows
    assert all(a.end == b.start for a, b in pairwise(seen.windows))
    assert "moved" in [window.condition.value for window in seen.windows]
    again = opened(folder).monitor.backfill(folder / "past")
    assert again.windows == ()
    assert "1200 rows lie in windows that were judged before: not counted again" in again.notes


@pytest.mark.parametrize(("kind", "rows"), WINDOWS)
def test_a_stop_between_windows_by_rows_changes_no_decision(
    folder: Path,
    adopted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: dict[str, object],
    rows: list[int],
) -> None:
    other = Path(shutil.copytree(adopted, tmp_path / "other"))
    for place in (folder, other):
        cut_by(place, **kind)
        write(place, bursts(8))
    whole = opened(folder).monitor.backfill(folder / "past").windows
    real, left = backfilling.commit, [2]

    def stopped(*given):
        real(*given)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(backfilling, "commit", stopped)
        with pytest.raises(KeyboardInterrupt):
            opened(other).monitor.backfill(other / "past")
    rest = opened(other).monitor.backfill(other / "past").windows
    assert [window.rows for window in rest] == rows[2:]
    assert decisions(rest) == decisions(whole[2:])


def test_rows_that_fill_no_window_wait_for_a_file_that_holds_more(folder: Path, adopted: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(adopted, tmp_path / "other"))
    for place in (folder, other):
        cut_by(place, windows="count", window_rows=400)
    whole = opened(folder).monitor.backfill(write(folder, bursts(8))).windows
    first = opened(other).monitor.backfill(write(other, bursts(4)))
    assert [window.rows for window in first.windows] == [400]
    assert "200 rows wait: the window that they lie in is not full, or not over" in first.notes
    rest = opened(other).monitor.backfill(write(other, bursts(8)))
    assert decisions(first.windows + rest.windows) == decisions(whole)


def test_on_the_command_line(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    past = write(folder, traffic(2, moved=0))
    monkeypatch.chdir(folder)
    assert run(["watch", "--backfill", str(past)]) == 3
    assert "moved" in capsys.readouterr().out
    assert run(["watch", "--backfill", str(past), "--now"]) == 2


def test_rows_without_times_are_refused(folder: Path) -> None:
    with pytest.raises(BackstayError, match="no column 'at'"):
        opened(folder).monitor.backfill(write(folder, traffic(1).drop_columns(["at"])))


@pytest.mark.parametrize("named", ["at the adoption", "afterwards"])
def test_a_model_that_is_here_answers_the_past_itself(tmp_path: Path, named: str) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    folder = tmp_path / "here"
    folder.mkdir()
    columns = ["id", "at", "x", "y"] if named == "at the adoption" else ["id", "x", "y"]
    known = answered(600, 0, START - timedelta(days=90), 30).select(columns)
    pq.write_table(known, folder / "reference.parquet")
    model = linear.LogisticRegression().fit(np.asarray(known["x"])[:, None].astype(np.float32), np.asarray(known["y"]))
    backstay.adopt(
        model,
        reference=folder / "reference.parquet",
        target="y",
        row_id="id",
        time="at" if "at" in columns else None,
        name="tiny",
        folder=folder,
        clock=ManualClock(START),
    )
    if "at" not in columns:
        file = folder / "backstay.toml"
        file.write_text(file.read_text().replace("[data]", '[data]\ntime = "at"'))
    seen = opened(folder).monitor.backfill(write(folder, traffic(2, moved=1).select(["at", "x"])))
    assert [window.rows for window in seen.windows] == [400, 400]
    assert [window.condition.value == "moved" for window in seen.windows] == [False, True]


def grouped_project(folder: Path, **settings: object) -> Path:
    """A model elsewhere whose rows belong to customers, five rows each."""
    folder.mkdir()
    pq.write_table(with_customers(answered(900, 0, START - timedelta(days=90), 30)), folder / "reference.parquet")
    backstay.adopt(
        None,
        reference=folder / "reference.parquet",
        target="y",
        predictions_only=True,
        score="score",
        positive="yes",
        row_id="id",
        time="at",
        group="who",
        name="tiny",
        folder=folder,
        clock=ManualClock(START),
    )
    cut_by(folder, **settings)
    return folder


def with_customers(table: pa.Table) -> pa.Table:
    ids = table.column("id").to_pylist()
    return table.append_column("who", pa.array([f"{i.split('-')[0]}-{int(i.split('-')[1]) // 5}" for i in ids]))


@pytest.mark.parametrize("settings", [{"season": "day"}, {"windows": "count", "window_rows": 400}])
def test_rows_of_groups_are_judged_as_those_of_the_log_are(tmp_path: Path, settings: dict[str, object]) -> None:
    past = with_customers(traffic(3, moved=1))
    backwards = past.take(pa.array(np.arange(past.num_rows)[::-1]))
    one, two = (grouped_project(tmp_path / name, **settings) for name in ("logged", "filled"))
    project = opened(one)
    project.monitor.log(past)
    logged = project.monitor.watch().windows
    filled = opened(two).monitor.backfill(write(two, backwards)).windows
    assert len(filled) == 3
    for log, file in zip(logged, filled, strict=True):
        assert [(s.detector, s.evidence, s.alarm, s.n) for s in log.signals] == [
            (s.detector, s.evidence, s.alarm, s.n) for s in file.signals
        ]
        assert (log.start, log.end, log.rows, log.condition) == (file.start, file.end, file.rows, file.condition)
        assert any(s.figures.get("judged", True) for s in file.signals if s.detector == "columns")
    assert opened(two).monitor.backfill(write(two, past)).windows == ()


def test_a_folder_without_tables_says_so(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(BackstayError, match="empty has no Parquet files"):
        opened(folder).monitor.backfill(folder / "empty")


def fine(table: pa.Table) -> pa.Table:
    """The same rows with times of real nanoseconds, as pandas and many databases write them."""
    times = pa.array(table["at"].to_numpy().astype("datetime64[ns]") + np.timedelta64(789, "ns"))
    return table.set_column(table.column_names.index("at"), "at", times.cast(pa.timestamp("ns", tz="UTC")))


def test_times_of_nanoseconds_are_taken(folder: Path) -> None:
    seen = opened(folder).monitor.backfill(write(folder, fine(traffic(2))))
    assert [window.rows for window in seen.windows] == [400, 400]
    newer = fine(answered(90, 3, START + timedelta(days=20), 5).drop_columns(["y"]))
    csv.write_csv(newer.slice(30, 30), folder / "newer.csv")
    project = opened(folder)
    logged = [
        project.monitor.log(given) for given in (newer.slice(0, 30), folder / "newer.csv", pl.from_arrow(newer[60:]))
    ]
    assert [result.rows for result in logged] == [30, 30, 30]


def late_ones(watched) -> list[str]:
    return [line for line in (*watched.notes, *(a for w in watched.windows for a in w.advice)) if "closed" in line]


def overlapping(watched) -> list[str]:
    return [line for line in (*watched.notes, *(a for w in watched.windows for a in w.advice)) if "backfill" in line]


def test_logged_rows_in_windows_of_a_backfill_are_told_once_and_are_not_late(folder: Path) -> None:
    """Two weeks are judged from a file; then rows of the first week, and of before and after its end, are logged."""
    pq.write_table(answered(1200, 1, START, 14), folder / "past.parquet")
    project = opened(folder)
    assert len(project.monitor.backfill(folder / "past.parquet").windows) == 2
    project.monitor.log(answered(80, 2, START + timedelta(days=2), 3))
    told = project.monitor.watch()
    assert told.windows == ()
    assert overlapping(told) == ["80 logged rows lie in windows that a backfill had judged: they are not tested again."]
    assert late_ones(told) == []
    assert project.monitor.watch().notes == ()
    project.monitor.log(answered(20, 6, START + timedelta(days=4), 1))
    assert overlapping(opened(folder).monitor.watch()) == [
        "20 logged rows lie in windows that a backfill had judged: they are not tested again."
    ]
    project.monitor.log(answered(400, 3, START + timedelta(days=12), 9))
    seen = opened(folder).monitor.watch()
    inside = sum(
        at < START + timedelta(days=14) for at in answered(400, 3, START + timedelta(days=12), 9)["at"].to_pylist()
    )
    assert [w.rows for w in seen.windows] == [400 - inside]
    assert overlapping(seen) == [
        f"{inside} logged rows lie in windows that a backfill had judged: they are not tested again."
    ]
    assert seen.windows[0].figures["backfilled_rows"] == inside
    project.monitor.log(answered(30, 4, START + timedelta(days=15), 2, stem="late"))
    project.monitor.log(answered(300, 5, START + timedelta(days=21), 7))
    then = opened(folder).monitor.watch()
    assert late_ones(then) == ["30 rows came in after their window had been closed and were not tested."]
    assert overlapping(then) == []
    assert then.windows[0].figures["late_rows"] == 30
