"""Whole numbers beyond 2**53 (hashes, ids, nanoseconds) are read as the nearest double, not refused by a traceback."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from backstay.data.targets import many_fractions
from backstay.evaluate.controls import raw_matrix
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.train.estimators.reading import numbers_of
from backstay.train.examples import profile_of, tensors_of

TABLE = pa.table({"h": pa.array([2**60 + 70 * i + 1 for i in range(40)], pa.int64())})
SCHEMA = Schema(columns=(Column("h", ColumnKind.INTEGER, False),), features=("h",), target=None)


def test_great_whole_numbers_are_read_by_all_that_learn_and_compare() -> None:
    with pytest.raises(pa.ArrowInvalid):
        TABLE.column("h").cast(pa.float64())
    profile = profile_of(TABLE, SCHEMA, np.arange(40))
    (tensor,) = tensors_of(profile, TABLE)
    assert tensor.shape == (40, 1)
    assert np.isfinite(numbers_of(profile, TABLE)).all()
    assert raw_matrix(TABLE, SCHEMA).shape[0] == 40
    assert not many_fractions(pa.chunked_array([pa.array([0.5, 2.0**60])]))
