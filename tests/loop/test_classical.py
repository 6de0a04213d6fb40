"""Models without an encoder through the whole loop: there is no embedding, and everything else must not mind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest

import backstay
from backstay.kernel.clock import ManualClock
from backstay.train.estimators import ESTIMATORS


@pytest.mark.parametrize("model", sorted(set(ESTIMATORS.built_in) - {"lightgbm", "xgboost"}))
def test_from_a_table_to_an_alarm(model: str, customers: Callable[..., pa.Table], tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 1, 5, tzinfo=UTC))
    pyarrow.csv.write_csv(customers(900, 0, "c"), tmp_path / "customers.csv")
    backstay.init(tmp_path / "customers.csv", target="stays", folder=tmp_path)
    file = tmp_path / "backstay.toml"
    text = file.read_text()
    assert "[train]" not in text.replace("# [train]", "")
    # Clusters are no better than the nearest raw rows, and are not asked to be.
    rules = '[[gate.rules]]\nrule = "beats_controls"\nmargin = 0.02\ncontrol = "majority"\n'
    file.write_text(f'{text}\n[train]\nmodel = "{model}"\n\n{rules}')

    project = backstay.open(tmp_path, clock=clock, actor="ada")
    offered = project.models.run()
    metrics = {m.metric for m in offered.report.measurements if m.of == "model"}
    assert {"accuracy", "auc", "calibration_error"} <= metrics
    assert "recall_at_1" not in metrics
    accuracy, majority = (offered.report.find("accuracy", of=of) for of in ("model", "control:majority"))
    assert accuracy is not None
    assert majority is not None
    assert accuracy.value > majority.value + 0.1
    assert offered.model.recipe["model"] == model
    assert project.releases.promote(offered.model.id, reason="the first").model_id == offered.model.id

    clock.advance(timedelta(days=1))
    # A plan that nobody has seen, and everybody moved by two deviations.
    moved = customers(400, 1, "m", moved=24, plans=("a", "b", "new"))
    answered = backstay.open(tmp_path, clock=clock).models.predict(moved.drop_columns(["stays"]), record=True)
    assert answered.rows == 400
    clock.advance(timedelta(days=8))
    watched = backstay.open(tmp_path, clock=clock).monitor.watch()
    signals = [s for window in watched.windows for s in window.signals]
    assert any(s.alarm and s.detector == "columns" for s in signals), [s.message for s in signals]
