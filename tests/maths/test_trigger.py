from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.intervals import clopper_pearson
from backstay.maths.trigger import decide


def test_the_arithmetic_is_printed_term_by_term() -> None:
    found = decide(0.12, 0.05, 2.0, 1000, 6, 300.0, 100.0, 40.0)
    assert found.errors_saved == pytest.approx(420)
    assert (found.value, found.cost, found.net) == pytest.approx((840, 440, 400))
    assert "value of retraining, at least: 840" in found.lines()
    assert "value less cost: 400" in found.lines()
    assert len(found.lines()) == 12


@given(now=st.floats(0, 1), new=st.floats(0, 1), cost=st.floats(0, 1e6))
def test_retrain_only_when_the_lower_bound_of_value_exceeds_the_cost(now: float, new: float, cost: float) -> None:
    found = decide(now, new, 1.0, 100, 10, cost, 0.0, 0.0)
    assert found.retrain == (max(now - new, 0) * 1000 > cost)
    if now <= new:
        assert not found.retrain


def test_an_unchanging_stream_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    retrained = 0
    for _ in range(200):
        low = clopper_pearson(rng.binomial(300, 0.1), 300).low
        high = clopper_pearson(rng.binomial(300, 0.1), 300).high
        retrained += decide(low, high, 1.0, 1000, 12, 0.0, 0.0, 0.0).retrain
    assert retrained <= 10


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_amounts_that_mean_nothing_are_refused(bad: float) -> None:
    with pytest.raises(BackstayError, match="cost of training"):
        decide(0.1, 0.1, 1.0, 1.0, 1.0, bad, 0.0, 0.0)
