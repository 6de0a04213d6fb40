"""An encoder that has nothing to learn, and columns that nothing learns from: both are told of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import backstay
from backstay.loop.class_gating import NOTHING_LEARNED

ROWS = 400


def write(folder: Path, table: pa.Table, data: str = "", train: str = "") -> backstay.Project:
    pq.write_table(table, folder / "rows.parquet")
    (folder / "backstay.toml").write_text(
        f'version = 1\nname = "m"\n[data]\nsource = "rows.parquet"\ntarget = "y"\n{data}\n[train]\n{train}\n'
    )
    return backstay.open(folder)


def test_an_encoder_that_learns_nothing_is_not_compared_with_itself(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, ROWS)
    vectors = rng.normal(size=(ROWS, 4)) + 9 * truth[:, None] * np.array([1, -1, 0, 0])
    table = pa.table({"v": pa.array(vectors.astype(np.float32).tolist()), "y": [f"c{t}" for t in truth]})
    found = write(tmp_path, table, train="dimension = 4\nencoder_options = { layers = 0 }").models.run()
    assert found.report.notes == (NOTHING_LEARNED,)
    assert "control:random_encoder" not in {c.against for c in found.report.comparisons}
    assert "encoder" not in " ".join(o.message for o in found.verdict.outcomes)
    (accuracy,) = (m for m in found.report.measurements if m.metric == "accuracy" and m.of == "model" and not m.slice)
    assert accuracy.value is not None
    assert accuracy.value > 0.95


def test_a_text_beside_a_number_is_named_unless_that_is_meant(tmp_path: Path) -> None:
    table = pa.table(
        {
            "said": [f"where is my {'card' if i % 2 else 'parcel'} number {i}" for i in range(ROWS)],
            "size": np.random.default_rng(0).normal(size=ROWS),
            "y": ["card" if i % 2 else "parcel" for i in range(ROWS)],
        }
    )
    found = write(tmp_path, table).data.audit().findings
    assert [f.columns for f in found if f.check == "unread_columns"] == [("said",)]
    meant = write(tmp_path, table, data='features = ["size"]').data.audit().findings
    assert "unread_columns" not in {f.check for f in meant}
