"""A successor that lives in the live model's space, by the project file alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest

import backstay
from backstay.cli import show
from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import BackstayError, NotFound

TRAIN = """
[train]
epochs = {epochs}
patience = 40
dimension = 8
learning_rate = 0.01
augmentation = 0.0
objective = "{objective}"

[gate]
minimum_n = 20
rules = [ {{ rule = "beats_controls", margin = 0.5 }} ]
"""


def test_the_champion_teaches_its_successor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3))
    y = np.where(x[:, 0] + x[:, 1] > 0.5, "high", np.where(x[:, 0] - x[:, 1] > 0.5, "right", "low"))
    pacsv.write_csv(pa.table({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y.tolist()}), tmp_path / "rows.csv")
    backstay.init(tmp_path / "rows.csv", target="y", folder=tmp_path, name="rows")
    proposed = (tmp_path / "backstay.toml").read_text()
    clock = ManualClock(datetime(2026, 1, 5, tzinfo=UTC))

    def told(objective: str, epochs: int, more: str = "") -> backstay.Project:
        (tmp_path / "backstay.toml").write_text(proposed + TRAIN.format(objective=objective, epochs=epochs) + more)
        return backstay.open(tmp_path, clock=clock, actor="ada")

    with pytest.raises(NotFound, match="no release"):
        told("distil", 1).models.run()
    first = told("supcon", 6)
    teacher = first.models.run().model
    first.releases.promote(reason="the first")
    offered = told("distil", 40, "[train.objective_options]\nmargin = 0.1\n").models.run()
    student = offered.model
    assert student.figures["teacher"] == teacher.id
    assert any(f"lives in the space of {teacher.id}: a gallery" in note for note in offered.report.notes)
    show.offered(offered)
    assert f"note: lives in the space of {teacher.id}" in capsys.readouterr().out
    assert student.figures["same_space"]
    ws = first.ws
    spaces = {m: ws.load_model(ws.model_record(m)).manifest.space_id for m in (teacher.id, student.id)}
    assert spaces[teacher.id] == spaces[student.id]
    with pytest.raises(BackstayError, match="model-none"):
        told("distil", 1, '[train.objective_options]\nteacher = "model-none"\n').models.run()
