from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import binom, norm
from scipy.stats import t as student

from backstay.kernel.errors import BackstayError
from backstay.maths.clusters import clusters, effective_size
from backstay.maths.intervals import (
    bernoulli_sequence,
    bias_corrected,
    bootstrap,
    clopper_pearson,
    exact_tail,
    mean_interval,
    proportion,
    proportion_effective_n,
    upper_limit,
)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 10), (7, 30), (30, 30)])
def test_clopper_pearson_is_where_the_binomial_tails_are_a_fortieth(k: int, n: int) -> None:
    low, high = clopper_pearson(k, n)
    assert low == 0.0 if k == 0 else binom.sf(k - 1, n, low) == pytest.approx(0.025)
    assert high == 1.0 if k == n else binom.cdf(k, n, high) == pytest.approx(0.025)


@given(n=st.integers(1, 400), share=st.floats(0, 1), level=st.sampled_from([0.8, 0.95, 0.99]))
def test_intervals_hold_their_estimate_and_stay_in_range(n: int, share: float, level: float) -> None:
    k = round(share * n)
    for bounds in (clopper_pearson(k, n, level), bernoulli_sequence(k, n, 1 - level)):
        assert 0.0 <= bounds.low <= k / n + 1e-9
        assert k / n - 1e-9 <= bounds.high <= 1.0
    assert bernoulli_sequence(k, n, 1 - level).width >= clopper_pearson(k, n, level).width * 0.95


@given(k=st.floats(0, 20), n=st.floats(20.5, 90))
def test_fractional_counts_give_an_interval_between_those_of_whole_counts(k: float, n: float) -> None:
    inner = clopper_pearson(k, n)
    assert clopper_pearson(np.floor(k), n).low <= inner.low + 1e-9
    assert inner.high <= clopper_pearson(np.ceil(k), n).high + 1e-9


def test_exact_coverage_over_every_outcome_is_at_least_the_level() -> None:
    n = 40
    limits = [clopper_pearson(k, n) for k in range(n + 1)]
    for p in np.linspace(0.01, 0.99, 50):
        covered = sum(binom.pmf(k, n, p) for k in range(n + 1) if limits[k].low <= p <= limits[k].high)
        assert covered >= 0.95


def test_upper_limit_is_exceeded_with_probability_delta_at_most() -> None:
    for p in (0.02, 0.1, 0.3):
        missed = sum(binom.pmf(k, 200, p) for k in range(201) if upper_limit(k, 200, 0.01) < p)
        assert missed <= 0.01
    assert upper_limit(5, 5, 0.01) == 1.0


def test_exact_tail_is_the_binomial_one() -> None:
    assert exact_tail(3, 9, 0.4) == pytest.approx(binom.sf(2, 9, 0.4))
    assert exact_tail(0, 9, 0.4) == 1.0


def test_groups_widen_and_never_narrow() -> None:
    rng = np.random.default_rng(0)
    quality = np.repeat(rng.random(50), 10)
    hits = (rng.random(500) < quality).astype(float)
    plain, grouped = proportion(hits), proportion(hits, np.arange(500) // 10)
    assert grouped.width > 1.3 * plain.width
    assert plain == clopper_pearson(hits.sum(), 500)
    assert proportion_effective_n(hits, np.arange(500) // 10) < 250
    assert proportion(np.ones(100), np.arange(100) // 10).low == pytest.approx(clopper_pearson(10, 10).low)


def test_few_groups_are_worth_fewer_rows_by_students_t() -> None:
    """Korn & Graubard: the effective n times (z / t)^2, with one degree of freedom less than there are groups."""
    groups = np.repeat(np.arange(6), 10)
    hits = np.concatenate([np.arange(10) < k for k in (9, 8, 7, 5, 4, 9)]).astype(float)
    size = effective_size(hits, clusters(groups, 60))
    assert size < 59
    found = proportion_effective_n(hits, groups, 0.9)
    assert found == pytest.approx(size * (norm.ppf(0.95) / student.ppf(0.95, 5)) ** 2)


def test_clustered_coverage() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        quality = np.repeat(rng.beta(8, 2, size=40), 8)
        hits = (rng.random(320) < quality).astype(float)
        low, high = proportion(hits, np.arange(320) // 8)
        covered += low <= 0.8 <= high
    assert covered >= 370


def test_confidence_sequence_covers_at_all_times_at_once() -> None:
    rng = np.random.default_rng(1)
    missed = 0
    sums = np.cumsum(rng.random((300, 400)) < 0.1, axis=1)
    table = {}
    for row in sums:
        for n in range(10, 401, 10):
            key = (int(row[n - 1]), n)
            if key not in table:
                table[key] = bernoulli_sequence(*key)
            if not table[key].low <= 0.1 <= table[key].high:
                missed += 1
                break
    assert missed <= 27  # binomial 99.9% point of 300 at .05


def test_mean_interval_is_students_and_refuses_one_row() -> None:
    x = np.array([1.0, 2.0, 4.0])
    bounds = mean_interval(x)
    assert bounds.low == pytest.approx(7 / 3 - 4.302653 * x.std(ddof=1) / np.sqrt(3))
    with pytest.raises(BackstayError, match="one independent row"):
        mean_interval(x, np.zeros(3))


def test_bootstrap_agrees_with_theory_and_resamples_groups_whole() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=400)
    bounds = bootstrap(lambda a: float(a.mean()), [x], rng)
    assert bounds.width == pytest.approx(4 * x.std() / 20, rel=0.15)
    copies = np.repeat(x[:50], 8)
    grouped = bootstrap(lambda a: float(a.mean()), [copies], rng, groups=np.arange(400) // 8)
    assert grouped.width > 2 * bootstrap(lambda a: float(a.mean()), [copies], rng).width


def test_bootstrap_refuses_a_statistic_that_is_mostly_undefined() -> None:
    with pytest.raises(BackstayError, match="undefined"):
        bootstrap(lambda a: float("nan"), [np.arange(5.0)], np.random.default_rng(0))


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3), (0, 0)])
def test_impossible_counts_are_refused(k: float, n: float) -> None:
    with pytest.raises(BackstayError, match="successes of"):
        clopper_pearson(k, n)


def test_shares_outside_zero_to_one_are_refused() -> None:
    with pytest.raises(BackstayError, match="outside 0 to 1"):
        proportion(np.array([0.0, 2.0]))


def test_bias_of_the_bootstrap_is_taken_out_twice_as_efron_has_it() -> None:
    """Replicates that are normal quantiles, three tenths of them below what was observed: z0 is -0.524."""
    replicates = ndtri((np.arange(20_000) + 0.5) / 20_000)
    observed = float(ndtri(0.3))
    assert bias_corrected(replicates, observed) == pytest.approx((2 * observed - 1.96, 2 * observed + 1.96), abs=0.01)
