from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp, ttest_rel

from backstay.kernel.errors import BackstayError
from backstay.maths.paired import _tango_score, paired_difference


def scores(gains: int, losses: int, both: int) -> tuple[np.ndarray, np.ndarray]:
    a = np.array([0.0] * gains + [1.0] * losses + [1.0] * both)
    b = np.array([1.0] * gains + [0.0] * losses + [1.0] * both)
    return a, b


def test_the_sign_test_is_mcnemars_exact_one() -> None:
    found = paired_difference(*scores(9, 2, 89))
    assert found.p_better == pytest.approx(binomtest(9, 11, 0.5, alternative="greater").pvalue)
    assert found.p_worse == pytest.approx(binomtest(2, 11, 0.5, alternative="greater").pvalue)
    assert found.mean == pytest.approx(0.07)
    assert found.n == found.n_effective == 100


def test_the_interval_ends_where_tangos_score_is_z_or_beyond() -> None:
    found = paired_difference(*scores(12, 2, 36))
    assert abs(_tango_score(12, 2, 50, 10 / 50)) < 1e-9
    assert _tango_score(12, 2, 50, found.low) >= 1.95996 - 1e-6
    assert _tango_score(12, 2, 50, found.low + 0.01) < 1.96 + 0.1


def test_nothing_differs() -> None:
    found = paired_difference(*scores(0, 0, 100))
    assert found.mean == 0.0
    assert found.p_better == found.p_worse == 1.0
    assert found.one_sided_low == pytest.approx(-(1 - 0.05 ** (1 / 100)), abs=0.003)


@given(gains=st.integers(0, 30), losses=st.integers(0, 30), both=st.integers(2, 300))
def test_laws_of_the_binary_difference(gains: int, losses: int, both: int) -> None:
    a, b = scores(gains, losses, both)
    there, back = paired_difference(a, b), paired_difference(b, a)
    assert there.low == pytest.approx(-back.high, abs=1e-9)
    assert there.one_sided_low == pytest.approx(-back.one_sided_high, abs=1e-9)
    assert there.p_better == pytest.approx(back.p_worse)
    assert there.low <= there.one_sided_low + 1e-9
    assert there.low - 1e-9 <= there.mean <= there.high + 1e-9
    assert not (there.one_sided_low > 0 and there.p_better > 0.05)


def test_real_scores_are_a_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=60)
    b = a + 0.1 + rng.normal(size=60) * 0.5
    found = paired_difference(a, b)
    oracle = ttest_rel(b, a, alternative="greater")
    assert found.p_better == pytest.approx(oracle.pvalue)
    assert found.p_worse == pytest.approx(1 - oracle.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(ttest_rel(b, a).confidence_interval(0.95)))


def test_copied_rows_do_not_make_it_surer() -> None:
    a, b = scores(9, 2, 89)
    once = paired_difference(a, b)
    copies = paired_difference(np.repeat(a, 20), np.repeat(b, 20), np.repeat(np.arange(100), 20))
    naive = paired_difference(np.repeat(a, 20), np.repeat(b, 20))
    assert naive.p_better < 1e-6
    assert copies.p_better > once.p_better * 0.3
    assert copies.low < once.low + 0.02
    assert copies.n_effective <= 101


def test_few_groups_weaken_both_sign_tests_alike() -> None:
    """Three groups of ten lose three, two and one row: six of six as rows, a mean of three as groups."""
    groups = np.repeat(np.arange(3), 10)
    lost = np.concatenate([np.arange(10) < k for k in (3, 2, 1)])
    a, b = np.ones(30), (~lost).astype(float)
    there, back = paired_difference(a, b, groups), paired_difference(b, a, groups)
    assert there.p_worse == pytest.approx(back.p_better)
    assert there.p_worse == pytest.approx(ttest_1samp([0.3, 0.2, 0.1], 0.0, alternative="greater").pvalue)
    assert there.one_sided_low == pytest.approx(-back.one_sided_high, abs=1e-9)


def test_one_group_shows_nothing() -> None:
    found = paired_difference(np.zeros(5), np.linspace(0.1, 0.5, 5), np.zeros(5))
    assert found.low == -np.inf
    assert found.p_better == 0.5


def test_a_constant_gain_is_certain_and_a_constant_nothing_is_not() -> None:
    assert paired_difference(np.full(9, 0.25), np.full(9, 0.5)).p_better == 0.0
    assert paired_difference(np.full(9, 0.25), np.full(9, 0.25)).p_better == 0.5


def test_unpaired_and_missing_scores_are_refused() -> None:
    with pytest.raises(BackstayError, match="differ in length"):
        paired_difference(np.zeros(3), np.zeros(4))
    with pytest.raises(BackstayError, match="NaN"):
        paired_difference(np.array([0.0, np.nan]), np.zeros(2))
    with pytest.raises(BackstayError, match="1 row"):
        paired_difference(np.zeros(1), np.zeros(1))
