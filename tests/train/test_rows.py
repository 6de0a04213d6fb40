"""Rows of a part keep their own label and weight."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch

from backstay.train import rows as module


def test_each_row_comes_with_its_own_label_and_weight(monkeypatch) -> None:
    monkeypatch.setattr(module, "tensors_of", lambda _, table: (torch.tensor(table.column("x").to_pylist()),))
    table = pa.table({"x": [10.0, 11.0, 12.0, 13.0]})
    codes, weights = np.array([0, 1, 2, 3]), np.array([0.5, 1.0, 2.0, 4.0], np.float32)
    part = module.part_of(None, table, codes, weights, np.array([3, 1]), None)  # type: ignore[arg-type]
    assert part.tensors[0].tolist() == [13.0, 11.0]
    assert (part.labels.tolist(), part.weights.tolist(), part.aims) == ([3, 1], [4.0, 1.0], None)
