"""banking77: 77 intents of short sentences, learned from nothing, beside the linear model that is hard to beat.

Bounded to 6 epochs (about 100 CPU-seconds), so the figure is not the encoder's best.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.data

OFFICIAL_TEST_ROWS = 3_080
# TF-IDF and a linear SVM reach 0.894 with all training rows; the control 0.920, and 0.908 without the tuning rows.
CONTROL = 0.90
ENCODER = 0.86
RECIPE = """
[train]
epochs = 6
batch_size = 64
learning_rate = 0.002
"""


def test_sentences_to_intents(stranger: Any, data_set: Callable[[str], Path]) -> None:
    shutil.copy(data_set("banking77/banking77.parquet"), stranger.folder / "banking77.parquet")
    stranger.types("init", "banking77.parquet", "--target", "category")
    project = stranger.folder / "backstay.toml"
    text = project.read_text()
    assert '"text" = "text"' in text
    assert "official split" in text
    project.write_text(text + RECIPE)

    done = stranger.runs("run", "--json")
    assert done.returncode in (0, 3), done.stderr
    offered = json.loads(done.stdout)
    assert offered["verdict"]["passed"] == (done.returncode == 0)
    figures = {m["of"]: m for m in offered["report"]["measurements"] if m["metric"] == "accuracy" and not m["slice"]}
    for of, figure in figures.items():
        print(of, round(figure["value"], 4), figure["interval"])
    assert figures["model"]["n"] == OFFICIAL_TEST_ROWS
    assert figures["control:tf_idf_linear"]["value"] > CONTROL
    assert figures["model"]["value"] > ENCODER
    (against,) = [
        c
        for c in offered["report"]["comparisons"]
        if c["against"] == "control:tf_idf_linear" and c["metric"] == "accuracy" and not c["slice"]
    ]
    print("encoder - control", against["difference"], against["one_sided_low"], offered["verdict"]["passed"])
    # The default policy: not behind a control by 0.02, with 95% certainty, and not surely behind it at all.
    may_pass = against["one_sided_low"] > -0.02 and against["interval"]["high"] >= 0
    assert offered["verdict"]["passed"] == may_pass

    if not offered["verdict"]["passed"]:
        return
    stranger.asks("promote", "--reason", "measured on the official test rows")
    said = pq.read_table(data_set("banking77/banking77.parquet")).column("text").to_pylist()[:2]
    with stranger.serves() as server:
        tensor = {"name": "text", "datatype": "BYTES", "shape": [2, 1], "data": said}
        status, answer = server.ask("/v2/models/banking77/infer", {"inputs": [tensor]})
        assert status == 200, answer
