"""Figures of groupings against scikit-learn, and a loop for the silhouette."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from backstay.kernel.errors import BackstayError
from backstay.maths import partition
from backstay.maths.partition import adjusted_rand, normalised_mutual_information, silhouette

GROUPINGS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=40)


@given(GROUPINGS)
@settings(max_examples=200, deadline=None)
def test_nmi_and_ari_are_those_of_scikit_learn(pairs):
    first, second = (np.array([p[i] for p in pairs]) for i in (0, 1))
    wanted = metrics.normalized_mutual_info_score(first, second)
    assert normalised_mutual_information(first, second) == pytest.approx(wanted, abs=1e-9)
    assert adjusted_rand(first, second) == pytest.approx(metrics.adjusted_rand_score(first, second), abs=1e-9)


@pytest.mark.parametrize("block", [500, 7])
def test_the_silhouette_is_that_of_scikit_learn(monkeypatch, block):
    monkeypatch.setattr(partition, "BLOCK", block)
    rng = np.random.default_rng(0)
    points, groups = rng.normal(size=(60, 3)) + 1e3, rng.integers(0, 4, 60)
    groups[7] = 9
    assert silhouette(points, groups) == pytest.approx(metrics.silhouette_samples(points, groups), abs=1e-6)


def test_equal_points_have_none():
    assert silhouette(np.ones((6, 2)), np.array([0, 0, 0, 1, 1, 1])).tolist() == [0.0] * 6


def test_many_rows_are_thinned(monkeypatch):
    monkeypatch.setattr(partition, "MOST_ROWS", 50)
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 2, 300)
    points = rng.normal(size=(300, 2)) + 6.0 * groups[:, None]
    assert len(silhouette(points, groups)) == 50
    assert silhouette(points, groups).mean() == pytest.approx(metrics.silhouette_score(points, groups), abs=0.08)


def test_one_group_and_other_lengths_are_refused():
    with pytest.raises(BackstayError, match="one group"):
        silhouette(np.ones((3, 2)), np.zeros(3, dtype=int))
    with pytest.raises(BackstayError, match="3 points and 2 groups"):
        silhouette(np.ones((3, 2)), np.zeros(2, dtype=int))
    with pytest.raises(BackstayError, match="groupings of 2 and 3 rows"):
        adjusted_rand(np.zeros(2, dtype=int), np.zeros(3, dtype=int))
