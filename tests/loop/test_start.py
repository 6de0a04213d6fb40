"""A challenger that goes on from the live model, with some of its old rows beside the new ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

import backstay
from backstay.kernel.clock import ManualClock
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.loop.retrain import replayed

TRAIN = """
[train]
epochs = 4
dimension = 8
learning_rate = 0.01
start_from = "champion"

[gate]
minimum_n = 20
rules = [ { rule = "beats_controls", margin = 0.5 } ]
"""


def rows(n: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    return pa.table({"a": x[:, 0], "b": x[:, 1], "y": np.where(x.sum(axis=1) > 0, "high", "low").tolist()})


def test_a_challenger_goes_on_from_the_live_model(tmp_path: Path) -> None:
    pacsv.write_csv(rows(300, 0), tmp_path / "rows.csv")
    backstay.init(tmp_path / "rows.csv", target="y", folder=tmp_path, name="rows")
    proposed = (tmp_path / "backstay.toml").read_text().replace("[retrain]", "[retrain]\nreplay = 0.3")
    (tmp_path / "backstay.toml").write_text(proposed + TRAIN)
    clock = ManualClock(datetime(2026, 1, 5, tzinfo=UTC))
    project = backstay.open(tmp_path, clock=clock, actor="ada")
    first = project.models.run().model
    assert "started_from" not in first.figures
    project.releases.promote(reason="the first")
    clock.advance(timedelta(days=1))
    pacsv.write_csv(rows(80, 1), tmp_path / "more.csv")
    second = project.models.retrain(rows=tmp_path / "more.csv").model
    assert second.figures["started_from"] == first.id
    assert second.parent == first.id
    learned = second.figures["train_rows"] + second.figures["tune_rows"]
    old, _ = project.ws.rows_of(first.data_id)
    assert 0.2 * old.num_rows < learned - 160 + 80 < 0.4 * old.num_rows + 80


def test_replay_draws_whole_groups_and_the_same_ones_each_time() -> None:
    groups = [f"g{i % 40}" for i in range(400)]
    table = pa.table({"a": np.arange(400.0), "g": groups})
    columns = (Column("a", ColumnKind.NUMBER), Column("g", ColumnKind.CATEGORY))
    schema = Schema(columns, ("a",), group="g")
    some = replayed(table, schema, 0.5)
    assert some.equals(replayed(table, schema, 0.5))
    kept = set(some.column("g").to_pylist())
    assert 8 <= len(kept) <= 32
    assert some.num_rows == 10 * len(kept)
    assert kept <= set(replayed(table, schema, 0.8).column("g").to_pylist())
    assert replayed(table, schema, 1.0) is table
    assert replayed(table.slice(0, 0), schema, 0.5).num_rows == 0
