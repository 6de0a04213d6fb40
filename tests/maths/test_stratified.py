from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from backstay.kernel.errors import BackstayError
from backstay.maths.stratified import FEWEST, allocate, doubt_cuts, strata_of, stratified_mean, stratified_upper


def test_the_cut_halves_the_summed_doubt():
    chance = np.concatenate([np.full(50, 0.6), np.linspace(0.95, 0.99, 200)])
    cuts = doubt_cuts(chance)
    strata = strata_of(chance, cuts)
    doubt = np.sqrt(chance * (1 - chance))
    assert doubt[strata == 0].min() >= doubt[strata == 1].max()
    first = doubt[strata == 0].sum() / doubt.sum()
    assert abs(first - 0.5) <= doubt.max() / doubt.sum()


@pytest.mark.parametrize("chance", [np.full(9, 0.8), np.ones(9), np.array([0.3])])
def test_rows_of_one_doubt_are_one_stratum(chance):
    assert doubt_cuts(chance) == ()
    assert strata_of(chance, ()).tolist() == [0] * len(chance)


def test_a_chance_and_its_opposite_are_as_doubtful():
    cuts = doubt_cuts(np.linspace(0.5, 0.99, 99))
    assert strata_of(np.array([0.2, 0.9, 0.5]), cuts).tolist() == strata_of(np.array([0.8, 0.1, 0.5]), cuts).tolist()


@given(
    chance=st.lists(st.sampled_from([0.0, 0.5, 0.7, 0.9, 0.99, 1.0]), min_size=2, max_size=80).map(np.array),
    data=st.data(),
)
def test_labels_are_dealt_to_the_last_one_and_no_row_twice(chance, data):
    strata = strata_of(chance, doubt_cuts(chance, data.draw(st.integers(1, 3))))
    sizes = np.bincount(strata)
    labels = data.draw(st.integers(1, len(chance)))
    first = allocate(strata, chance, labels)
    assert first.sum() == labels
    assert np.all(first >= np.minimum(sizes, min(FEWEST, labels // len(sizes))))
    assert np.all(first <= sizes)
    if labels < len(chance):
        more = allocate(strata, chance, data.draw(st.integers(1, len(chance) - labels)), first)
        assert np.all(more >= 0)
        assert np.all(first + more <= sizes)


def test_more_labels_where_there_is_doubt_and_a_top_up_ends_where_one_draw_would():
    strata, chance = np.repeat([0, 1], [200, 800]), np.repeat([0.6, 0.99], [200, 800])
    whole = allocate(strata, chance, 100)
    assert whole[0] > 2 * 100 * 0.2 * 0.9
    half = allocate(strata, chance, 50)
    assert (half + allocate(strata, chance, 50, half)).tolist() == whole.tolist()


def test_the_estimate_is_unbiased_whatever_the_chances_say():
    """By enumeration of all samples of 2 and 2 out of 3 and 5 rows, with chances that point the wrong way."""
    rows = [np.array([1, 1, 0]), np.array([0, 1, 1, 0, 1])]
    means = []
    for first, second in product([(0, 1), (0, 2), (1, 2)], [(i, j) for i in range(5) for j in range(i)]):
        good = np.array([rows[0][list(first)].sum(), rows[1][list(second)].sum()])
        means.append(stratified_mean(good, np.array([2, 2]), np.array([3, 5])).value)
    assert np.mean(means) == pytest.approx(5 / 8)


def test_a_stratum_without_errors_still_counts_and_a_known_one_does_not():
    clean = stratified_mean(np.array([20, 30]), np.array([20, 30]), np.array([200, 800]))
    assert clean.value == clean.high == 1.0
    assert 0.9 < clean.low < 0.97
    known = stratified_mean(np.array([150, 30]), np.array([200, 30]), np.array([200, 800]))
    assert known.high == pytest.approx(0.95)
    both = stratified_mean(np.array([150, 700]), np.array([200, 800]), np.array([200, 800]))
    assert (both.low, both.high, both.effective) == pytest.approx((0.85, 0.85, 1000.0))


def test_one_stratum_is_the_interval_of_jeffreys():
    from scipy.stats import beta

    found = stratified_mean(np.array([45]), np.array([50]), np.array([5000]))
    assert (found.low, found.high) == pytest.approx(tuple(beta.ppf([0.025, 0.975], 45.5, 5.5)))
    assert found.effective == pytest.approx(50)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: doubt_cuts(np.array([0.5, 1.2])), "outside 0 to 1"),
        (lambda: allocate(np.zeros(3, dtype=int), np.full(3, 0.5), 4), "4 labels of 3 rows"),
        (lambda: allocate(np.zeros(3, dtype=int), np.full(3, 0.5), 0), "0 labels"),
        (lambda: stratified_mean(np.array([1]), np.array([0]), np.array([5])), "do not fit"),
        (lambda: stratified_mean(np.array([1]), np.array([6]), np.array([5])), "do not fit"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(BackstayError, match=said):
        call()


def test_a_stratum_of_few_rows_hardly_moves_either_end():
    large = stratified_mean(np.array([190]), np.array([200]), np.array([9990]))
    both = stratified_mean(np.array([3, 190]), np.array([5, 200]), np.array([10, 9990]))
    assert (both.low, both.high) == pytest.approx((large.low, large.high), abs=0.002)


def test_the_limit_for_decisions_shares_alpha_over_strata():
    ends = [beta.ppf(1 - 0.01 / 2, good + 1, n - good) for good, n in ((6, 9), (38, 41))]
    found = stratified_upper(np.array([6, 38]), np.array([9, 41]), np.array([100, 900]), 0.01)
    assert found == pytest.approx(0.1 * ends[0] + 0.9 * ends[1])
