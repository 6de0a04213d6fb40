"""Differences of areas under the ROC curve: plain loops, laws, and how often the interval holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.areas import paired_areas, shares
from backstay.maths.classification import auc


def drawn(seed: int, n: int = 60, share: float = 0.3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    kind = rng.random(n) < share
    kind[:2], kind[2:4] = True, False
    both = rng.normal(size=n) + kind
    a, b = (np.round(both + rng.normal(size=n), 1) for _ in range(2))
    return kind, a, b


def won(x: float, y: float) -> float:
    return 1.0 if x > y else 0.5 if x == y else 0.0


def delong(kind: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Difference of areas and its variance, by loops over all pairs of rows."""
    up, down = np.flatnonzero(kind), np.flatnonzero(~kind)
    tens = [np.mean([won(b[i], b[j]) - won(a[i], a[j]) for j in down]) for i in up]
    ones = [np.mean([won(b[i], b[j]) - won(a[i], a[j]) for i in up]) for j in down]
    return float(np.mean(tens)), float(np.var(tens, ddof=1) / len(up) + np.var(ones, ddof=1) / len(down))


@given(st.integers(0, 10_000))
def test_the_difference_and_its_error_are_those_of_plain_loops(seed: int) -> None:
    kind, a, b = drawn(seed)
    found = paired_areas(kind, a, b)
    mean, variance = delong(kind, a, b)
    assert found.mean == pytest.approx(mean, abs=1e-12)
    n = len(kind)
    assert found.se**2 == pytest.approx(variance * n / (n - 1), abs=1e-12)
    assert float(shares(kind, b).mean()) == pytest.approx(auc(kind.astype(int), np.column_stack([-b, b])), abs=1e-12)
    turned = paired_areas(kind, b, a)
    assert (turned.mean, turned.se) == pytest.approx((-found.mean, found.se))
    assert turned.p_better == pytest.approx(found.p_worse)
    one = paired_areas(~kind, -a, -b)
    assert (one.mean, one.se) == pytest.approx((found.mean, found.se))


def test_rows_that_are_given_twice_as_one_group_say_no_more() -> None:
    kind, a, b = drawn(1)
    once = paired_areas(kind, a, b)
    twice = paired_areas(*(np.repeat(v, 2) for v in (kind, a, b)), groups=np.repeat(np.arange(len(kind)), 2))
    naive = paired_areas(*(np.repeat(v, 2) for v in (kind, a, b)))
    assert twice.mean == pytest.approx(once.mean)
    assert twice.se == pytest.approx(once.se, rel=0.03)
    assert naive.se < 0.75 * once.se


def test_few_rows_of_one_kind_widen_it() -> None:
    """The bound of four anomalies among a thousand is that of three degrees of freedom, not of a thousand."""
    rng = np.random.default_rng(0)
    kind = np.arange(1000) < 4
    found = paired_areas(kind, np.zeros(1000), rng.normal(size=1000) + kind)
    assert (found.mean - found.one_sided_low) / found.se == pytest.approx(2.353, abs=0.001)


def test_scores_that_rank_alike_differ_by_nothing() -> None:
    kind, a, _ = drawn(2)
    same = paired_areas(kind, a, np.exp(a))
    assert (same.mean, same.se, same.one_sided_low, same.p_better) == (0.0, 0.0, 0.0, 0.5)


def test_what_cannot_be_ranked_is_refused() -> None:
    kind, a, b = drawn(3)
    with pytest.raises(BackstayError, match="1 rows of one kind"):
        paired_areas(np.arange(len(a)) == 0, a, b)
    with pytest.raises(BackstayError):
        paired_areas(kind, a, np.where(kind, np.nan, b))
    assert paired_areas(kind, a, b, groups=np.zeros(len(a))).one_sided_low == -np.inf


@pytest.mark.prove
@pytest.mark.parametrize("anomalies", [10, 30])
def test_how_often_the_bound_is_wrong(anomalies: int) -> None:
    """5% are allowed. 4,000 drawings of two scores that are equally good; a mutant with normal tails fails at ten."""
    missed = 0
    for seed in range(4000):
        rng = np.random.default_rng(seed)
        kind = np.arange(300) < anomalies
        both = rng.normal(size=300) + 1.5 * kind
        a, b = (both + rng.normal(size=300) for _ in range(2))
        missed += paired_areas(kind, a, b).one_sided_low > 0
    assert missed / 4000 < 0.05 + 2.6 * (0.05 * 0.95 / 4000) ** 0.5
