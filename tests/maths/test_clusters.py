from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.clusters import clusters, effective_size, group_sums, mean_variance


def test_group_sums_match_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    labels = np.array(list("cabbacc"), dtype=object)
    values, table = rng.normal(size=7), rng.normal(size=(7, 3))
    grouping = clusters(labels, 7)
    for i, name in enumerate(sorted(set(labels))):
        by_hand = sum(v for v, g in zip(values, labels, strict=True) if g == name)
        assert group_sums(values, grouping)[i] == pytest.approx(by_hand)
        assert np.allclose(group_sums(table, grouping)[i], table[labels == name].sum(axis=0))


def test_every_row_its_own_group_is_the_usual_variance() -> None:
    x = np.random.default_rng(1).normal(size=50)
    assert mean_variance(x, clusters(None, 50)) == pytest.approx(np.var(x, ddof=1) / 50)
    assert effective_size(x, clusters(None, 50)) == 50


@given(copies=st.integers(2, 9), seed=st.integers(0, 99))
def test_copies_of_rows_are_worth_the_rows_copied(copies: int, seed: int) -> None:
    base = np.random.default_rng(seed).normal(size=40)
    size = effective_size(np.repeat(base, copies), clusters(np.repeat(np.arange(40), copies), 40 * copies))
    assert 38 <= size <= 40.0001


def test_no_variation_teaches_nothing_of_dependence() -> None:
    assert effective_size(np.ones(100), clusters(np.arange(100) // 10, 100)) == 10
    assert mean_variance(np.ones(5), clusters(np.zeros(5), 5)) == 0.0
    assert clusters(np.arange(100) // 10, 100).kish == 10


def test_groups_of_another_length_are_refused() -> None:
    with pytest.raises(BackstayError, match="differ in length"):
        clusters(np.arange(3), 4)
