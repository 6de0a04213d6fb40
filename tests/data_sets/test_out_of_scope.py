"""CLINC150: questions that no intent answers, told by a model that was never shown one.

In two steps, as docs/heads.md has it: an encoder is learned with cross-entropy, then a head that holds examples is put
on it, which may answer "none of these".
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

import backstay
from backstay.bundle.manifest import NONE

pytestmark = pytest.mark.data

ENCODER = """
encoder = "bag"
dimension = 128
epochs = 8
patience = 8
batch_size = 128
learning_rate = 0.003
schedule = "one_cycle"
"""
HEAD = """
start_from = "champion"
freeze = true
head = "knn"
head_options = { none_of_these = 0.05 }
"""
PROJECT = """
version = 1
name = "intents"

[data]
source = "known.parquet"
target = "intent"
columns = { text = "text" }
split = { train = 0.8, tune = 0.1, gate = 0.1 }

[gate]
rules = [ { rule = "at_least", metric = "accuracy", value = 0.5 } ]

[train]
"""
ASKED = 0.94


def test_what_is_out_of_scope_lies_far(data_set: Callable[[str], Path], tmp_path: Path) -> None:
    table = pq.read_table(data_set("clinc150/clinc150.parquet"))
    part, outside = (np.array(table.column(name).to_pylist()) for name in ("split", "oos"))
    rows = table.select(["text", "intent"]).set_column(1, "intent", table.column("intent").cast(pa.string()))
    pq.write_table(rows.filter(pa.array((part == "train") & ~outside)), tmp_path / "known.parquet")
    for step, settings in enumerate((ENCODER, ENCODER + HEAD)):
        (tmp_path / "backstay.toml").write_text(PROJECT + settings)
        project = backstay.open(tmp_path)
        offered = project.models.run()
        if not step:
            project.releases.promote(reason="the encoder")
    asked = part == "test"
    model = project.ws.load_model(project.ws.model_record(offered.model.id))
    said = model.predict(rows.filter(pa.array(asked)).select(["text"]))
    none, strange = said.labels == NONE, outside[asked].astype(bool)
    area = roc_auc_score(strange, said.distances)
    told = [f"{none[chosen].mean():.3f} of {int(chosen.sum())}" for chosen in (~strange, strange)]
    print(f"\n out of scope by distance: AUROC {area:.4f}; called none: {told[0]} in scope, {told[1]} out of scope")
    assert area >= ASKED
    assert none[strange].mean() > 0.7
    assert none[~strange].mean() < 0.1
