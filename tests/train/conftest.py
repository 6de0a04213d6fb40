"""Small rows that train in a second."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from backstay.kernel.records import Column, ColumnKind, Schema


@pytest.fixture(scope="session")
def sheet() -> tuple[pa.Table, Schema]:
    """600 rows: numbers with gaps, a category with an accent, a boolean, and columns called like outputs."""
    rng = np.random.default_rng(1)
    n = 600
    a, b = rng.normal(size=n) * 1e6, np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n))
    c = rng.choice(["p", "q", "ü"], n)
    y = np.where(a / 1e6 + (c == "p") * 2 - 1 + rng.normal(size=n) * 0.3 > 0, "yes", "no")
    table = pa.table(
        {
            "a": a,
            "embedding": pa.array(b, from_pandas=True),
            "label": c.tolist(),
            "d": rng.random(n) < 0.5,
            "y": y.tolist(),
        }
    )
    columns = (
        Column("a", ColumnKind.NUMBER),
        Column("embedding", ColumnKind.NUMBER),
        Column("label", ColumnKind.CATEGORY),
        Column("d", ColumnKind.BOOLEAN),
        Column("y", ColumnKind.CATEGORY),
    )
    return table, Schema(columns, ("a", "embedding", "label", "d"), target="y")


@pytest.fixture(scope="session")
def scans() -> tuple[pa.Table, Schema]:
    """Scikit-learn's digits as images."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = (digits.images * 15.9).astype(np.uint8)
    kind = pa.fixed_shape_tensor(pa.uint8(), (8, 8, 1))
    storage = pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), 64)
    table = pa.table({"image": pa.ExtensionArray.from_storage(kind, storage), "y": [str(v) for v in digits.target]})
    columns = (Column("image", ColumnKind.IMAGE, shape=(8, 8, 1)), Column("y", ColumnKind.CATEGORY))
    return table, Schema(columns, ("image",), target="y")
