"""The anomaly head through the whole loop, under the usual policy: ranked, promoted, answered, logged, watched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import backstay
from backstay.kernel.clock import ManualClock
from backstay.loop.anomaly_gating import JUDGED_BY
from backstay.loop.label import live_rows

TOML = """
version = 1
name = "parts"

[data]
source = "parts.parquet"
target = "state"
id = "id"

[train]
objective = "denoising"
head = "anomaly"
head_options = { by = "reconstruction", normal = "good" }
epochs = 20
patience = 20
dimension = 8
batch_size = 64
learning_rate = 0.01

[gate]
minimum_n = 40

[watch]
minimum_rows = 50
"""


def parts(n: int, seed: int, stem: str) -> pa.Table:
    """Good parts lie near a space of six directions in twelve numbers, one in six is a fault that leaves it."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(7).normal(size=(6, 12)) / np.sqrt(6)
    x = rng.normal(size=(n, 6)) @ mix + 0.1 * rng.normal(size=(n, 12))
    fault = rng.random(n) < 1 / 6
    x[np.flatnonzero(fault), rng.integers(12, size=n)[fault]] += 2.0
    columns = {f"x{i}": x[:, i] for i in range(12)}
    states = np.where(fault, "fault", "good").tolist()
    return pa.table({"id": [f"{stem}-{i:04d}" for i in range(n)], **columns, "state": states})


def test_the_whole_loop(tmp_path: Path):
    (tmp_path / "backstay.toml").write_text(TOML)
    pq.write_table(parts(800, 0, "p"), tmp_path / "parts.parquet")
    clock = ManualClock(datetime(2026, 1, 5, tzinfo=UTC))
    project = backstay.open(tmp_path, clock=clock, actor="ada")
    offered = project.models.run()
    auc = offered.report.find("auc")
    assert offered.verdict.passed, offered.verdict.reasons
    assert [o.rule for o in offered.verdict.outcomes if o.rule.endswith("auc")] == [
        "beats_controls auc",
        "no_worse_than_champion auc",
    ]
    assert JUDGED_BY in offered.report.notes
    assert not any(m.metric == "knn_accuracy" for m in offered.report.measurements)
    assert auc.value > 0.8
    assert auc.interval.low > 0.7
    project.releases.promote(reason="finds faults")
    clock.advance(timedelta(days=1))
    live = parts(200, 1, "t")
    answers = project.models.predict(live.drop_columns(["state"]), record=True).table
    strange = np.array(answers.column("p(fault)"))
    assert np.allclose(strange + np.array(answers.column("p(good)")), 1.0)
    called = np.array([v == "fault" for v in answers.column("label").to_pylist()])
    assert np.array_equal(called, strange >= 0.95 - 1e-6)
    rows = live_rows(project.ws)
    assert rows.predictions.tolist() == answers.column("label").to_pylist()
    assert np.allclose(rows.scores[:, project.models.ws.model_record(offered.model.id).classes.index("fault")], strange)
    clock.advance(timedelta(days=40))
    assert project.monitor.watch() is not None
