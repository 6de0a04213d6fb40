"""Vectors that were bought: as a model's input, and as what a model elsewhere says beside its answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.bundle.model import Outputs
from backstay.data.schema import conform, infer_schema
from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import BackstayError
from backstay.loop.reference import reference_of, views

START = datetime(2026, 1, 5, tzinfo=UTC)
CENTRES = 2 * np.random.default_rng(9).normal(size=(3, 8))
RECIPE = """
[train]
epochs = 4
dimension = 4
batch_size = 64
learning_rate = 0.02
encoder_options = { layers = 1 }

[gate]
minimum_n = 40
rules = [ { rule = "beats_controls", margin = 0.2 }, { rule = "no_worse_than_champion", margin = 0.3 } ]

[watch]
minimum_rows = 50
label_free_minimum = 50
"""


def bought(n: int, seed: int, stem: str, move: float = 0.0) -> pa.Table:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    vectors = (CENTRES[truth] + rng.normal(size=(n, 8)) + move).astype(np.float32)
    return pa.table(
        {
            "id": [f"{stem}{i}" for i in range(n)],
            "v": pa.array(vectors.tolist(), pa.list_(pa.float32())),
            "y": [f"class {t}" for t in truth],
        }
    )


def test_vectors_from_file_to_retraining(tmp_path: Path) -> None:
    pq.write_table(bought(400, 0, "a"), tmp_path / "v.parquet")
    backstay.init(tmp_path / "v.parquet", target="y", folder=tmp_path, name="bought")
    text = (tmp_path / "backstay.toml").read_text()
    assert '"v" = "vector"' in text
    (tmp_path / "backstay.toml").write_text(text + RECIPE)
    clock = ManualClock(START)
    project = backstay.open(tmp_path, clock=clock, actor="ada")
    offered = project.models.run()
    assert offered.verdict.passed, offered.verdict.reasons
    release = project.releases.promote(reason="the first")
    reference = reference_of(project.ws, release)
    assert reference.representation.shape[1] == 4
    clock.advance(timedelta(days=1))
    fresh = bought(150, 1, "b")
    project.models.predict(fresh.drop_columns(["y"]), record=True)
    clock.advance(timedelta(days=1))
    project.monitor.watch(close_now=True)
    answers = zip(fresh["id"].to_pylist(), fresh["y"].to_pylist(), strict=True)
    project.labels.answer([{"id": i, "label": y} for i, y in answers])
    assert project.models.retrain().model.parent == offered.model.id
    with pytest.raises(BackstayError, match="row 2 of 'v' has 3 numbers, the model takes 8"):
        project.models.predict(pa.table({"v": [[1.0] * 8, [1.0] * 3]}))


def test_without_embeddings_of_the_model_the_vectors_are_looked_at() -> None:
    raw = bought(20, 0, "a")
    schema = infer_schema(raw, target="y", id="id")
    rows = conform(raw, schema)
    labels = np.array(raw.column("y").to_pylist(), dtype=object)
    seen = views(rows, schema, Outputs(labels, None, None))
    assert seen.representation.tolist() == raw.column("v").to_pylist()
    assert seen.columns == {}
    given = np.ones((20, 2), np.float32)
    assert views(rows, schema, Outputs(labels, None, given)).representation.shape == (20, 2)


def test_a_reference_of_predictions_keeps_its_embeddings(tmp_path: Path) -> None:
    rows = bought(300, 0, "a")
    rows = rows.append_column("prediction", rows.column("y"))
    pq.write_table(rows, tmp_path / "reference.parquet")
    clock = ManualClock(START)
    backstay.adopt(
        None, reference=tmp_path / "reference.parquet", target="y", predictions_only=True, folder=tmp_path, clock=clock
    )
    project = backstay.open(tmp_path, clock=clock, actor="ada")
    assert project.ws.settings.predictions.embedding == "v"
    reference = reference_of(project.ws, project.releases.champion())
    assert np.allclose(reference.representation, np.array(rows.column("v").to_pylist()))
