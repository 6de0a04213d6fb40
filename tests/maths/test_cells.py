"""Cells of a space: what they are cut by, and that counts of parts add up."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.cells import Cells
from backstay.maths.projection import principal_axes


def clumps(rng, rows, clumps=6, dimension=8, apart=8.0):
    which = rng.integers(clumps, size=rows)
    return apart * np.eye(clumps, dimension)[which] + rng.normal(size=(rows, dimension)), which


def test_clumps_that_lie_apart_become_cells():
    rng = np.random.default_rng(0)
    rows, _ = clumps(rng, 600)
    cells = Cells.fit(rows, 6, 10, seed=1)
    others, theirs = clumps(rng, 400)
    found = cells.of(cells.project(others))
    for clump in range(6):
        assert len(np.unique(found[theirs == clump])) == 1
    assert len(np.unique(found)) == len(cells) == 6


def test_a_row_lies_in_the_cell_of_the_nearest_centre_by_a_plain_loop():
    rng = np.random.default_rng(1)
    cells = Cells.fit(rng.normal(size=(300, 5)), 8, 5, seed=1)
    near = cells.project(rng.normal(size=(50, 5)))
    expected = [int(np.argmin([np.sum((row - centre) ** 2) for centre in cells.centres])) for row in near]
    assert cells.of(near).tolist() == expected


def test_counts_of_parts_add_up_to_those_of_the_whole():
    rng = np.random.default_rng(2)
    cells = Cells.fit(rng.normal(size=(300, 5)), 8, 5, seed=1)
    rows = rng.normal(size=(9000, 5))
    parts = [cells.count(cells.of(cells.project(part))) for part in (rows[:100], rows[100:6000], rows[6000:])]
    np.testing.assert_array_equal(sum(parts), cells.count(cells.of(cells.project(rows))))


def test_no_cell_holds_fewer_rows_than_asked_for():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(1000, 40))
    rows[:3] += 50.0
    cells = Cells.fit(rows, 32, 10, seed=1)
    assert cells.count(cells.of(cells.project(rows))).min() >= 10
    assert len(cells) >= 8


def test_rows_of_few_values_have_as_many_cells():
    rng = np.random.default_rng(4)
    rows = rng.integers(2, size=(500, 2)).astype(np.float64)
    cells = Cells.fit(rows, 32, 10, seed=1)
    assert len(cells) == 4


@pytest.mark.parametrize("rows", [np.ones((100, 3)), np.r_[np.ones((99, 3)), np.zeros((1, 3))]])
def test_rows_that_are_alike_have_none(rows):
    with pytest.raises(BackstayError):
        Cells.fit(rows, 8, 5, seed=1)


def test_one_cell_is_none():
    with pytest.raises(BackstayError, match="1 cells"):
        Cells.fit(np.random.default_rng(0).normal(size=(50, 2)), 1, 1, seed=1)


def test_many_directions_are_few_that_hold_most_of_the_spread():
    rng = np.random.default_rng(5)
    spread = np.r_[np.linspace(10.0, 5.0, 10), np.full(190, 0.5)]
    turn, _ = np.linalg.qr(rng.normal(size=(200, 200)))
    rows = (rng.normal(size=(3000, 200)) * spread) @ turn + 100.0
    centre, axes = principal_axes(rows, 10, np.random.default_rng(1))
    np.testing.assert_allclose(axes @ axes.T, np.eye(10), atol=1e-9)
    kept = np.square((rows - centre) @ axes.T).sum()
    _, lengths, _ = np.linalg.svd(rows - centre, full_matrices=False)
    assert kept >= 0.99 * np.square(lengths[:10]).sum()
    assert Cells.fit(rows.astype(np.float32), 8, 10, seed=1).axes.shape == (64, 200)
