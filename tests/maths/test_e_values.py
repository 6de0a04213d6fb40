from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.betting import EProcess
from backstay.maths.e_values import ELond, e_bh, merged

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=12)


def e_bh_by_hand(values: list[float], alpha: float) -> set[int]:
    best: set[int] = set()
    for k in range(1, len(values) + 1):
        largest = sorted(range(len(values)), key=lambda i: (-values[i], i))[:k]
        if min(values[i] for i in largest) >= len(values) / (alpha * k):
            best = set(largest)
    return best


@given(VALUES, st.floats(0.01, 0.5))
def test_e_bh_is_its_definition(values, alpha):
    assert set(np.flatnonzero(e_bh(np.array(values), alpha))) == e_bh_by_hand(values, alpha)


@pytest.mark.parametrize(
    ("values", "rejected"),
    [([39, 0, 0, 0], 0), ([41, 0, 0, 0], 1), ([39, 19, 13, 9], 0), ([21, 21, 0, 0], 2), ([11, 11, 11, 11], 4)],
)
def test_one_needs_much_and_many_together_need_less(values, rejected):
    """Of four at a tenth: one of 40, two of 20, three of 13.3, four of 10."""
    assert e_bh(np.array(values, dtype=float), 0.1).sum() == rejected


@given(VALUES, st.integers(0, 11), st.floats(1, 100))
def test_more_evidence_never_rejects_fewer(values, place, factor):
    more = np.array(values)
    more[place % len(values)] *= factor
    assert np.all(e_bh(more, 0.1) >= e_bh(np.array(values), 0.1))


def bets(rng: np.random.Generator, slices: int, rows: int, true: int, shock: float) -> np.ndarray:
    """Current wealth of a bet a slice against errors of 10%, which common shocks make depend on one another."""
    common = 0.1 + shock * rng.choice([-1.0, 1.0], size=rows)
    rates = np.tile(common, (slices, 1))
    rates[:true] += 0.15
    errors = rng.random((slices, rows)) < rates
    return np.array([EProcess.start(0.1).update(row.astype(float)).e_value for row in errors])


def test_few_false_discoveries_under_common_shocks_and_all_true_ones_found():
    rng, false, found = np.random.default_rng(5), [], []
    for _ in range(60):
        rejected = e_bh(bets(rng, 40, 400, 4, 0.05), 0.1)
        false.append(rejected[4:].sum() / max(rejected.sum(), 1))
        found.append(rejected[:4].mean())
    assert np.mean(false) <= 0.1
    assert np.mean(found) >= 0.8


def test_the_running_maximum_would_be_no_e_value():
    """The mutant: with the largest wealth ever in place of the current one, the mean under the null passes 1."""
    rng = np.random.default_rng(6)
    ends = [EProcess.start(0.1).update((rng.random(500) < 0.1).astype(float)) for _ in range(400)]
    assert np.mean([e.e_value for e in ends]) <= 1.15
    assert np.mean([np.exp(e.peak) for e in ends]) > 1.5


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=30))
def test_e_lond_is_its_definition(values):
    state, rejections = ELond.start(0.1), 0
    for t, value in enumerate(values, 1):
        wanted = 1 / (0.1 * 6 / (np.pi**2 * t**2) * (rejections + 1))
        assert state.needed == pytest.approx(wanted)
        state, rejected = ELond.from_json(state.to_json()).look(value)
        assert rejected == (value >= wanted)
        rejections += rejected
    assert (state.seen, state.rejections) == (len(values), rejections)


def test_merging():
    assert merged(np.array([2.0, 4.0])) == 3.0
    assert merged(np.array([])) == 1.0
    assert e_bh(np.array([]), 0.1).tolist() == []


@pytest.mark.parametrize("wrong", [[-1.0], [np.nan], [[1.0]]])
def test_what_is_no_e_value(wrong):
    for use in (lambda v: e_bh(v, 0.1), merged):
        with pytest.raises(BackstayError, match="negative, missing or no list"):
            use(np.array(wrong))
    with pytest.raises(BackstayError, match="alpha"):
        e_bh(np.array([1.0]), 0.0)
