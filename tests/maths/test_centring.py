from __future__ import annotations

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.centring import BLOCK, FARTHEST, centred, centred_blocks, mean_squares


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_rows_less_the_centre_block_by_block(kind: type) -> None:
    rows = np.random.default_rng(0).normal(3.0, 2.0, size=(2 * BLOCK + 3, 5)).astype(kind)
    centre = rows.mean(axis=0, dtype=np.float64)
    found = centred(rows, centre)
    assert found.dtype == np.float32
    assert found == pytest.approx(rows - centre, abs=1e-5)
    assert [len(block) for block in centred_blocks(rows, centre)] == [BLOCK, BLOCK, 3]
    assert mean_squares(rows, centre) == pytest.approx(rows.astype(float).var(axis=0), rel=1e-5)


def test_digits_far_from_nought_are_kept() -> None:
    rows = 1e9 + np.arange(8.0).reshape(4, 2)
    assert centred(rows, np.full(2, 1e9)).tolist() == np.arange(8.0).reshape(4, 2).tolist()
    assert not np.array_equal(rows.astype(np.float32), rows)  # what would be left of them without the centre


def test_numbers_too_large_for_single_precision_are_brought_in_and_others_refused() -> None:
    assert centred(np.array([[1e300, -1e300, 1.0]]), np.zeros(3)).tolist() == [
        [np.float32(FARTHEST), -np.float32(FARTHEST), 1.0]
    ]
    for bad in (np.nan, np.inf):
        with pytest.raises(BackstayError, match="rows holds 1 values"):
            centred(np.array([[0.0, bad]]), np.zeros(2))
    with pytest.raises(BackstayError, match="rows of 2 numbers against a reference of 3"):
        centred(np.zeros((4, 2)), np.zeros(3))
