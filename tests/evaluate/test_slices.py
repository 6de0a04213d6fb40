from __future__ import annotations

import numpy as np
import pytest

from backstay.evaluate.slices import slice_rows
from backstay.kernel.errors import BackstayError


def test_each_row_is_in_one_slice_of_each_column() -> None:
    found = list(slice_rows({"a": np.array([1, 2, 1]), "b": np.array([None, "x", "x"], dtype=object)}, 3))
    assert [(name, rows.tolist()) for name, rows in found] == [
        ("a=1", [0, 2]),
        ("a=2", [1]),
        ("b=None", [0]),
        ("b=x", [1, 2]),
    ]


def test_a_column_of_another_length_or_of_identifiers_is_refused() -> None:
    with pytest.raises(BackstayError, match="'a' has 2 values for 3 rows"):
        list(slice_rows({"a": np.array([1, 2])}, 3))
    with pytest.raises(BackstayError, match="600 different values"):
        list(slice_rows({"id": np.arange(600)}, 600))
