from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.sample_ratio import sample_ratio_e_value

HALVES = np.array([0.5, 0.5])


def by_prediction(rows: list[int], plan: np.ndarray, concentration: float) -> float:
    """Row by row: the probability that the rows before give to this one, over the planned one."""
    counts, e = np.zeros(len(plan)), 1.0
    for arm in rows:
        predicted = (concentration * plan[arm] + counts[arm]) / (concentration + counts.sum())
        e *= predicted / plan[arm]
        counts[arm] += 1
    return float(e)


@given(st.lists(st.integers(0, 2), max_size=40), st.floats(0.5, 200))
def test_it_is_the_product_of_predictions(rows, concentration):
    plan = np.array([0.5, 0.3, 0.2])
    counts = np.bincount(rows, minlength=3).astype(float) if rows else np.zeros(3)
    found = sample_ratio_e_value(counts, plan, concentration)
    assert found == pytest.approx(by_prediction(rows, plan, concentration), rel=1e-9)


def ever_alarmed(share: float, seed: int, streams: int = 300, rows: int = 3000) -> float:
    """How many of these streams reach 1/0.05 at any of their looks, one after every 20 rows."""
    rng, alarmed = np.random.default_rng(seed), 0
    for _ in range(streams):
        first = np.cumsum(rng.random(rows) < share)[19::20].astype(float)
        seen = np.arange(20, rows + 1, 20, dtype=float)
        alarmed += any(
            sample_ratio_e_value(np.array([a, n - a]), HALVES) >= 20 for a, n in zip(first, seen, strict=True)
        )
    return alarmed / streams


def test_looking_at_every_batch_alarms_no_more_often_than_promised():
    assert ever_alarmed(0.5, 1) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_a_mismatch_of_four_points_is_found():
    assert ever_alarmed(0.54, 2, streams=60) >= 0.8


def test_a_chi_square_test_at_every_batch_would_alarm_too_often():
    """The mutant: what is done where nobody thinks of it."""
    rng, alarmed = np.random.default_rng(3), 0
    for _ in range(300):
        first = np.cumsum(rng.random(3000) < 0.5)[19::20]
        seen = np.arange(20, 3001, 20)
        alarmed += bool(np.any((first - seen / 2) ** 2 / (seen / 4) > 3.841))
    assert alarmed / 300 > 0.2


def test_shares_need_not_add_up_to_one_and_order_does_not_matter():
    counts = np.array([70.0, 30.0, 10.0])
    plan = np.array([6.0, 3.0, 1.0])
    assert sample_ratio_e_value(counts, plan) == pytest.approx(sample_ratio_e_value(counts[::-1], plan[::-1] / 10))
    assert np.isfinite(sample_ratio_e_value(np.array([1e7, 0.0]), HALVES))


@pytest.mark.parametrize(
    ("counts", "plan", "concentration"),
    [
        ([1.0], [1.0], 10),
        ([1.0, 2.0], [0.5, 0.3, 0.2], 10),
        ([-1.0, 2.0], [0.5, 0.5], 10),
        ([1.0, 2.0], [1.0, 0.0], 10),
        ([1.0, 2.0], [0.5, 0.5], 0),
    ],
)
def test_what_cannot_be_judged(counts, plan, concentration):
    with pytest.raises(BackstayError, match="same two arms"):
        sample_ratio_e_value(np.array(counts), np.array(plan), concentration)
