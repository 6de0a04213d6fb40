from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from backstay.kernel.errors import BackstayError
from backstay.maths import neighbours
from backstay.maths.neighbours import nearest, vote


def test_neighbours_equal_a_plain_loop_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    rng = np.random.default_rng(0)
    gallery, queries = rng.normal(size=(50, 4)).astype(np.float32), rng.normal(size=(20, 4)).astype(np.float32)
    places, distances = nearest(gallery, queries, 5)
    for i, query in enumerate(queries):
        d = [float(np.sqrt(np.sum((row.astype(float) - query) ** 2))) for row in gallery]
        want = sorted(range(50), key=lambda j: d[j])[:5]
        assert places[i].tolist() == want
        assert distances[i] == pytest.approx([d[j] for j in want], abs=1e-6)


def test_copies_far_from_the_origin_are_still_told_apart() -> None:
    rng = np.random.default_rng(1)
    gallery = (1000 + rng.normal(size=(200, 8))).astype(np.float32)
    places, distances = nearest(gallery, gallery, 1)
    assert places[:, 0].tolist() == list(range(200))
    assert distances.max() == pytest.approx(0.0, abs=1e-3)


def test_rows_of_one_group_are_no_neighbours() -> None:
    points, groups = np.array([[0.0], [0.1], [5.0]]), np.array([0, 0, 1])
    places, distances = nearest(points, points, 2, apart=(groups, groups))
    assert places[0, 0] == 2
    assert distances[0].tolist() == [5.0, np.inf]


def test_votes_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    gallery, known, queries = rng.normal(size=(80, 3)), rng.integers(0, 3, 80), rng.normal(size=(30, 3))
    want = KNeighborsClassifier(5).fit(gallery, known).predict_proba(queries)
    assert vote(known, *nearest(gallery, queries, 5), 3) == pytest.approx(want)


def test_unknown_classes_have_no_vote_and_no_neighbour_means_no_opinion() -> None:
    shares = vote(np.array([-1, 1]), np.array([[0, 1], [0, 0]]), np.array([[1.0, 1.0], [1.0, np.inf]]), 2)
    assert shares.tolist() == [[0.0, 1.0], [0.5, 0.5]]


@pytest.mark.parametrize(("gallery", "k"), [(np.zeros((0, 2)), 1), (np.zeros((3, 2)), 0), (np.full((3, 2), np.nan), 1)])
def test_what_cannot_be_searched_is_refused(gallery: np.ndarray, k: int) -> None:
    with pytest.raises(BackstayError):
        nearest(gallery, np.zeros((1, 2)), k)
