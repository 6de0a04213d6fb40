"""The plane: against a plain eigenvector computation, and the laws it must keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.projection import principal_plane


@given(st.integers(0, 10_000), st.integers(3, 40), st.integers(1, 12))
def test_it_is_the_plane_of_the_two_largest_eigenvalues(seed, n, d):
    rows = np.random.default_rng(seed).normal(size=(n, d)) * np.arange(1, d + 1)
    plane = principal_plane(rows)
    values = np.sort(np.linalg.eigvalsh(np.cov(rows.T).reshape(d, d)))[::-1]
    expected = np.concatenate([values, [0.0, 0.0]])[:2] / values.sum()
    np.testing.assert_allclose(plane.shares, expected, atol=1e-9)
    spread = plane.place(rows).var(axis=0, ddof=1)
    np.testing.assert_allclose(spread, expected * values.sum(), atol=1e-6 * values.sum())


def test_the_same_rows_in_another_order_give_the_same_picture():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 5)) * [5, 3, 1, 1, 1]
    order = rng.permutation(50)
    np.testing.assert_allclose(
        principal_plane(rows).place(rows)[order], principal_plane(rows[order]).place(rows[order]), atol=1e-9
    )


def test_rows_that_are_all_alike_lie_in_one_place():
    plane = principal_plane(np.ones((5, 3)))
    assert plane.shares == (0.0, 0.0)
    assert not plane.place(np.ones((5, 3))).any()


def test_two_rows_are_no_plane():
    with pytest.raises(BackstayError, match="2 rows"):
        principal_plane(np.zeros((2, 3)))
