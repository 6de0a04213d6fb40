"""With a time column, what was known last is a control: strict in time, by group, and asked by the default policy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.loop.class_gating import controls
from backstay.loop.gate_case import GateRows
from backstay.loop.value_gating import controls as value_controls

DAY = np.timedelta64(1, "D")
SCHEMA = Schema(
    (
        Column("t", ColumnKind.TIME),
        Column("who", ColumnKind.CATEGORY),
        Column("x", ColumnKind.NUMBER),
        Column("y", ColumnKind.CATEGORY),
    ),
    ("x",),
    target="y",
    time="t",
    group="who",
)


def table(rows: list[tuple[int | None, str | None, object]]) -> pa.Table:
    days = pa.array([None if d is None else d * 86_400_000_000 for d, _, _ in rows], pa.int64())
    days = days.cast(pa.timestamp("us", tz="UTC"))
    return pa.table({"t": days, "who": [w for _, w, _ in rows], "x": np.zeros(len(rows)), "y": [y for _, _, y in rows]})


EARLIER = [(1, "ann", "no"), (5, "bob", "yes"), (3, "cid", "maybe"), (None, "ann", "no")]
GATE = [(1, "dan", "no"), (6, "ann", "yes"), (7, "ann", "no"), (8, "eve", "yes"), (9, None, "yes")]


def test_the_label_of_the_newest_earlier_row_of_the_own_group_else_of_all() -> None:
    gate, earlier, classes = table(GATE), table(EARLIER), ("no", "yes")
    labels = np.array([y for *_, y in GATE], dtype=object)
    rows = GateRows(gate, SCHEMA, "data-1", earlier=earlier)
    found = controls(rows, labels, classes, earlier)["last_label"].predicted
    # dan: nothing is earlier, so the commonest; ann: her own of day 1, then her own of day 6; eve: ann's of day 7, the
    # newest of all; nobody: eve's of day 8. A class that the model does not know is no answer.
    assert [classes[i] for i in found] == ["no", "no", "yes", "no", "yes"]
    alone = controls(GateRows(gate, SCHEMA, "data-1"), labels, classes, None)["last_label"].predicted
    assert [classes[i] for i in alone] == ["yes", "no", "yes", "no", "yes"]
    for hidden in (table([(None, "ann", "no"), *GATE[1:]]), gate.drop_columns(["t"])):
        assert "last_label" not in controls(GateRows(hidden, SCHEMA, "data-1"), labels, classes, None)


def test_numbers_are_answered_alike() -> None:
    schema = Schema((*SCHEMA.columns[:3], Column("y", ColumnKind.NUMBER)), ("x",), target="y", time="t", group="who")
    numbers = {"no": 1.0, "yes": 2.0, "maybe": 4.0}
    earlier, gate = (table([(d, w, numbers[str(y)]) for d, w, y in rows]) for rows in (EARLIER, GATE))
    truth = np.array(gate["y"].to_pylist())
    assert value_controls(gate, schema, truth, earlier)["last_value"].tolist() == [2.0, 1.0, 2.0, 1.0, 2.0]


TOML = """
version = 1
name = "days"

[data]
source = "days.parquet"
target = "y"
time = "t"
features = ["x"]

[data.split]
by = "time"

[train]
epochs = 2
dimension = 8
"""


@pytest.mark.parametrize("lasting", [True, False])
def test_the_default_policy_refuses_a_model_that_only_knows_less_than_yesterday(tmp_path: Path, lasting: bool) -> None:
    """States that last 40 days, and an input that says little: yesterday's label is right 97 times in 100."""
    rng = np.random.default_rng(0)
    n = 800
    state = (np.arange(n) // 40) % 2 if lasting else rng.integers(0, 2, n)
    x = state + rng.normal(size=n) * (1.0 if lasting else 0.1)
    t = pa.array(np.datetime64("2026-01-01", "us") + np.arange(n) * DAY, pa.timestamp("us", tz="UTC"))
    pq.write_table(pa.table({"t": t, "x": x, "y": [f"s{v}" for v in state]}), tmp_path / "days.parquet")
    (tmp_path / "backstay.toml").write_text(TOML)
    offered = backstay.open(tmp_path).models.run()
    figures = {m.of: m.value for m in offered.report.measurements if m.metric == "accuracy" and not m.slice}
    reasons = " ".join(offered.verdict.reasons)
    if lasting:
        assert figures["control:last_label"] > 0.95 > 0.8 > figures["model"] > 0.5
        assert not offered.verdict.passed
        assert "last_label by" in reasons
    else:
        assert 0.35 < figures["control:last_label"] < 0.65 < figures["model"]
        assert "last_label by" not in reasons
