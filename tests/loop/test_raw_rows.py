"""Without training rows neighbours are sought among the other groups."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.loop.raw_rows import raw_rows

TABLE = pa.table({"a": [1.0, 2.0, 3.0], "g": ["p", "q", "p"], "y": ["s", "t", "s"]})
COLUMNS = tuple(Column(n, ColumnKind.NUMBER if n == "a" else ColumnKind.CATEGORY) for n in "agy")


def test_rows_of_one_group_are_kept_apart_and_else_each_from_itself():
    first, other, third = raw_rows(TABLE, Schema(COLUMNS, ("a",), target="y", group="g"), None).apart
    assert first == third != other
    assert raw_rows(TABLE, Schema(COLUMNS, ("a",), target="y"), None).apart.tolist() == [0, 1, 2]


def test_training_rows_are_the_gallery():
    found = raw_rows(TABLE, Schema(COLUMNS, ("a",), target="y", group="g"), TABLE.slice(0, 2))
    assert (len(found.gallery), len(found.queries)) == (2, 3)
    assert found.apart is None
    assert np.array_equal(found.queries[:2], found.gallery)
