"""Where a change lies, from a look without a project, from a project's log and from a past that was backfilled."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

import backstay
from backstay.cli.main import run
from backstay.cli.view import view
from backstay.kernel.clock import ManualClock
from backstay.project import Project

START = datetime(2026, 1, 5, tzinfo=UTC)
KINDS = ("book", "lamp", "sofa", "tent")


def orders(rows: int, seed: int, begin: datetime, shares=(0.25, 0.25, 0.25, 0.25), stem: str = "r") -> pa.Table:
    """Orders of four kinds, each with its own usual value and weight."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(4, rows, p=shares)
    value = np.array([0.0, 100.0, 300.0, 200.0])[kind] + rng.normal(0, 8, rows)
    weight = 20.0 * (kind % 2) + rng.normal(0, 2, rows)
    chance = 1.0 / (1.0 + np.exp(-rng.normal(size=rows)))
    return pa.table(
        {
            "id": [f"{stem}{i}-{KINDS[k]}" for i, k in enumerate(kind)],
            "at": pa.array([begin + timedelta(days=6.9 * i / rows) for i in range(rows)]),
            "value": value,
            "weight": weight,
            "shop": np.array(["east", "west"])[rng.integers(2, size=rows)],
            "prediction": np.where(chance > 0.5, "yes", "no"),
            "score": chance,
            "y": np.where(rng.random(rows) < chance, "yes", "no"),
        }
    )


MORE_SOFAS = (0.22, 0.22, 0.45, 0.11)


def shown(page: str) -> list[float]:
    """The values of the rows that the page shows for clusters."""
    part = page[page.index("Where it lies") : page.index("Over time")]
    return [float(value) for value in re.findall(r">value</span> ([\d.]+)", part)]


def test_a_look_without_a_project_shows_what_came_and_what_went(tmp_path: Path) -> None:
    seen = backstay.watch(
        orders(1000, 1, START, MORE_SOFAS),
        reference=orders(2000, 0, START - timedelta(days=30)),
        prediction="prediction",
        id="id",
        ignore=["at", "y", "score"],
    )
    grown = [cell for cell in seen.located.cells if cell.grew]
    shrunk = [cell for cell in seen.located.cells if not cell.grew]
    assert {row.split("-")[1] for cell in grown for row in cell.example_ids} == {"sofa"}
    assert all("value " in " ".join(cell.words) for cell in grown)
    assert {round(seen.missed_examples[row].columns["value"], -2) for c in shrunk for row in c.reference_rows} == {200}
    page = seen.page(tmp_path / "page.html").read_text()
    assert "more like these" in page
    assert "fewer like these" in page
    assert len(shown(page)) == 5 * len(seen.located.cells)
    told = json.loads(json.dumps(seen.to_json()))[-1]["located"]
    assert told["cells"][0]["example_ids"] == list(seen.located.cells[0].example_ids)


def test_nothing_is_said_of_traffic_that_did_not_move(tmp_path: Path) -> None:
    reference = orders(2000, 0, START - timedelta(days=30))
    seen = backstay.watch(orders(1000, 2, START), reference=reference, id="id", ignore=["at", "y", "score"])
    assert seen.located is None
    assert "Where it lies" not in seen.page(tmp_path / "page.html").read_text()


def test_of_streamed_rows_a_sample_is_counted() -> None:
    reference = orders(2000, 0, START - timedelta(days=30))
    seen = backstay.watch(orders(12_000, 3, START, MORE_SOFAS), reference=reference, id="id", features=["value"])
    assert (seen.located.rows, seen.located.sampled) == (10_000, 10_000)
    assert any(cell.grew for cell in seen.located.cells)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Answers of a model that is elsewhere, adopted with 1,200 reference rows."""
    pq.write_table(orders(1200, 0, START - timedelta(days=30)), tmp_path / "reference.parquet")
    names = {"score": "score", "positive": "yes", "row_id": "id", "time": "at"}
    backstay.adopt(
        None,
        reference=tmp_path / "reference.parquet",
        target="y",
        predictions_only=True,
        name="orders",
        folder=tmp_path,
        clock=ManualClock(START),
        **names,
    )
    return tmp_path


def opened(folder: Path, days: float) -> Project:
    return backstay.open(folder, clock=ManualClock(START + timedelta(days=days)))


def test_a_project_shows_it_on_the_terminal_on_the_page_and_as_json(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    live = opened(project, 7.5)
    live.monitor.log(orders(900, 4, START, MORE_SOFAS, "n"))
    page = project / "page.html"
    seen = live.monitor.watch(page=page)
    located = seen.latest.located
    grown = next(cell for cell in located.cells if cell.grew)
    assert all(row.endswith("sofa") for row in grown.example_ids)
    values = shown(page.read_text())
    assert len(values) == 5 * len(located.cells)
    assert {round(value, -2) for value in values} == {300, 200}
    shrunk = next(cell for cell in located.cells if not cell.grew)
    table = pq.read_table(project / "reference.parquet")
    assert {table["id"][row].as_py().split("-")[1] for row in shrunk.reference_rows} == {"tent"}
    out = io.StringIO()
    Console(file=out, width=200).print(view(seen, ()))
    drawn = out.getvalue()
    assert "where it lies" in drawn
    assert grown.example_ids[0] in drawn
    monkeypatch.chdir(project)
    run(["watch"])
    said = capsys.readouterr().out
    assert f"where: {located.headline}" in said
    assert f"look at {grown.example_ids[0]}" in said
    assert located.counted in said


def test_a_past_that_was_backfilled_is_told_by_its_sample(project: Path) -> None:
    pq.write_table(orders(3000, 5, START, MORE_SOFAS, "b"), project / "past.parquet")
    seen = opened(project, 8).monitor.backfill(project / "past.parquet")
    located = seen.windows[0].located
    assert (located.rows, located.sampled) == (2000, 2000)
    assert all(row.endswith("sofa") for cell in located.cells if cell.grew for row in cell.example_ids)
    assert opened(project, 8).monitor.windows()[0].located == located


def test_rows_of_before_are_not_shown_by_their_place_once_some_of_them_were_erased(project: Path) -> None:
    live = opened(project, 7.5)
    live.monitor.log(orders(900, 4, START, MORE_SOFAS, "n"))
    located = live.monitor.watch().latest.located
    grown = sum(cell.grew for cell in located.cells)
    assert 0 < grown < len(located.cells)
    first = pq.read_table(project / "reference.parquet")["id"][0].as_py()
    live = opened(project, 7.6)
    live.data.forget(ids=[first], reason="asked")
    page = project / "page.html"
    live.monitor.watch(page=page)
    values = shown(page.read_text())
    assert len(values) == 5 * grown
    assert {round(value, -2) for value in values} == {300}
