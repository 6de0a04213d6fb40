"""K-means: against a plain loop and scikit-learn, on planted clusters, and on rows that have none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from backstay.kernel.errors import BackstayError
from backstay.maths import k_means
from backstay.maths.k_means import assign, choose, fit, steadiness
from backstay.maths.partition import adjusted_rand


def blobs(count: int, n: int = 600, width: float = 0.25, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows about centres at distances of 2 or so in eight dimensions, and which centre each is of."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count, 8))
    own = rng.integers(0, count, n)
    return centres[own] + width * rng.normal(size=(n, 8)), own


def total(rows: np.ndarray, centres: np.ndarray) -> float:
    return sum(min(float(((x - c) ** 2).sum()) for c in centres) for x in rows)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_planted_clusters_are_found_as_scikit_learn_finds_them(count: int) -> None:
    rows, own = blobs(count)
    centres = fit(rows, count, seed=0)
    cells, far = assign(rows, centres)
    assert adjusted_rand(cells, own) == 1.0
    assert total(rows, centres) == pytest.approx(KMeans(count, n_init=5, random_state=0).fit(rows).inertia_)
    assert float(np.square(far).sum()) == pytest.approx(total(rows, centres))
    sizes = np.bincount(cells, minlength=count)
    assert (np.diff(sizes) <= 0).all()


def test_where_no_clusters_are_the_sum_is_no_worse_than_scikit_learn_s() -> None:
    rows = np.random.default_rng(3).normal(size=(300, 4))
    ours = total(rows, fit(rows, 6, seed=1))
    theirs = KMeans(6, n_init=10, random_state=0).fit(rows).inertia_
    assert ours <= theirs * 1.01


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 30), st.integers(1, 6), st.integers(0, 100))
def test_every_centre_is_the_mean_of_its_rows_and_every_row_with_its_nearest(n: int, count: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(max(n, count), 3))
    centres = fit(rows, count, seed=seed, starts=2)
    cells, far = assign(rows, centres)
    for row, cell, distance in zip(rows, cells, far, strict=True):
        each = [float(np.sqrt(((row - c) ** 2).sum())) for c in centres]
        assert distance == pytest.approx(min(each))
        assert each[cell] == pytest.approx(min(each))
    for cell in range(count):
        assert np.allclose(rows[cells == cell].mean(axis=0), centres[cell])


def test_one_seed_one_result_and_a_large_table_is_settled_on_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = blobs(4)
    assert np.array_equal(fit(rows, 4, seed=7), fit(rows, 4, seed=7))
    monkeypatch.setattr(k_means, "MOST_SAMPLE", 100)
    assert total(rows, fit(rows, 4, seed=7)) == pytest.approx(total(rows, fit(rows, 4, seed=8)))


def test_clusters_that_lose_their_rows_are_given_others() -> None:
    """Two of three starting centres are far from all rows: no cluster may end empty."""
    rows = np.concatenate([np.zeros((5, 2)), np.ones((5, 2)), np.full((2, 2), 9.0)])
    rows += np.random.default_rng(0).normal(size=rows.shape) * 0.01
    centres, _ = k_means._settled(rows, np.array([[0.5, 0.5], [50.0, 0.0], [60.0, 0.0]]))
    assert np.bincount(assign(rows, centres)[0], minlength=3).min() > 0


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_the_number_of_planted_clusters_is_chosen(count: int) -> None:
    rows, _ = blobs(count, n=400, seed=1)
    found = choose(rows, seed=0)
    assert found.count == count
    assert found.silhouettes[count] == max(found.silhouettes.values()) > 0.5
    assert steadiness(rows, count, seed=0) == pytest.approx(1.0)


def test_rows_without_clusters_have_neither_silhouette_nor_steadiness() -> None:
    rows = np.random.default_rng(0).normal(size=(500, 10))
    found = choose(rows, seed=0)
    assert max(found.silhouettes.values()) < 0.1
    assert steadiness(rows, 5, seed=0) < 0.4


def test_what_comes_back_need_not_be_apart() -> None:
    """The trap that docs/clusters.md tells of: a filled square has no clusters and is cut alike each time."""
    rows = np.random.default_rng(0).random(size=(2000, 2))
    found = choose(rows, seed=0)
    assert found.count == 4
    assert 0.35 < found.silhouettes[4] < 0.45
    assert steadiness(rows, 4, seed=0) > 0.85


def test_rows_of_a_group_stay_in_one_half() -> None:
    """Each group is one point many times over: apart, halves share nothing; halved by rows, they would be alike."""
    points = np.random.default_rng(0).normal(size=(20, 6))
    groups = np.repeat(np.arange(20), 30)
    rows = points[groups] + 1e-3 * np.random.default_rng(1).normal(size=(600, 6))
    assert steadiness(rows, 10, seed=0, groups=groups) < steadiness(rows, 10, seed=0) - 0.1
    assert np.isnan(steadiness(rows, 2, seed=0, groups=np.zeros(600, dtype=np.int64)))


def test_too_few_rows_for_a_half_are_not_told() -> None:
    assert np.isnan(steadiness(np.eye(6), 4, seed=0))


@pytest.mark.parametrize(
    ("rows", "count", "what"),
    [
        (np.eye(3), 4, "4 clusters of 3 rows"),
        (np.eye(3), 0, "0 clusters of 3 rows"),
        (np.zeros((9, 2)), 2, "2 clusters of rows of which 1 differ"),
        (np.array([[1.0, 2.0], [np.nan, 0.0]]), 1, "1 of 2 rows hold NaN or infinity, first row 2"),
        (np.array([1.0, 2.0]), 1, "rows of shape"),
    ],
)
def test_what_cannot_be_clustered_is_said(rows: np.ndarray, count: int, what: str) -> None:
    with pytest.raises(BackstayError, match=what) as caught:
        fit(rows, count, seed=0)
    assert caught.value.fix


def test_what_no_number_can_be_chosen_for() -> None:
    with pytest.raises(BackstayError, match="3 rows to choose"):
        choose(np.eye(3), seed=0)
    with pytest.raises(BackstayError, match="all rows are alike"):
        choose(np.ones((9, 2)), seed=0)
    with pytest.raises(BackstayError, match="for centres of 3 numbers"):
        assign(np.eye(2), np.eye(3))
