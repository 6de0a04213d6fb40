from __future__ import annotations

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import fraction, indicators, matrix, same_length, vector


def test_what_is_bad_is_named_with_its_value() -> None:
    with pytest.raises(BackstayError, match="scores holds 1 values that are NaN"):
        vector([1.0, np.nan], "scores")
    with pytest.raises(BackstayError, match=r"shape \(0,\)"):
        vector([], "scores")
    with pytest.raises(BackstayError, match="shape"):
        matrix(np.zeros((2, 2, 2)), "rows")
    with pytest.raises(BackstayError, match="other than 0 and 1"):
        indicators([0.5], "labels")
    with pytest.raises(BackstayError, match="alpha is 1"):
        fraction(1.0, "alpha")
    with pytest.raises(BackstayError, match="2 and 3"):
        same_length(np.zeros(2), np.zeros(3), "rows")


def test_a_vector_becomes_one_column() -> None:
    assert matrix([1, 2, 3], "rows").shape == (3, 1)
