from __future__ import annotations

import json

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.blocks import Blocks, block_length


def days(rng: np.random.Generator, rows: int, of: int) -> np.ndarray:
    rate = np.repeat(rng.permutation([0.02, 0.2] * (rows // of // 2)), of)
    return (rng.random(len(rate)) < rate).astype(float)


def test_longer_days_want_longer_blocks():
    rng = np.random.default_rng(1)
    lengths = [block_length(days(rng, 4000, of), 0.02) for of in (1, 20, 100)]
    assert lengths[0] <= 2
    assert lengths == sorted(lengths)
    assert lengths[2] >= 100


def test_a_wide_tolerance_wants_no_blocks():
    assert block_length(days(np.random.default_rng(2), 4000, 50), 0.5) == 1


def test_independent_rows_seldom_get_blocks():
    rng = np.random.default_rng(3)
    found = [block_length((rng.random(2000) < 0.1).astype(float), 0.02) for _ in range(40)]
    assert np.mean(np.array(found) <= 2) >= 0.8


def test_every_row_is_in_one_block_and_parts_do_not_matter():
    x = days(np.random.default_rng(4), 3000, 60)
    whole, means = Blocks.start(0.02, 25).cut(x)
    state, parts = Blocks.start(0.02, 25), []
    for part in np.array_split(x, 37):
        state, found = Blocks.from_json(json.loads(json.dumps(state.to_json()))).cut(part)
        parts += found.tolist()
    assert parts == means.tolist()
    assert state.to_json() == whole.to_json()
    assert whole.length > 25


def test_the_length_is_settled_by_what_came_before():
    """Rows that come later change no block that was cut before them."""
    rng = np.random.default_rng(5)
    x, y = days(rng, 2000, 50), rng.random(1000)
    before = Blocks.start(0.02, 25).cut(x)[1]
    assert Blocks.start(0.02, 25).cut(np.concatenate([x, y]))[1][: len(before)].tolist() == before.tolist()


def test_no_tolerance_no_blocks():
    with pytest.raises(BackstayError, match="tolerance of 0"):
        Blocks.start(0.0)
