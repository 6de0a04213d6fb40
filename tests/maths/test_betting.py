from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.betting import (
    Agrapa,
    EProcess,
    geometric_bets,
    inverse_probability,
    log_bets,
    null_error,
)


def wealth_by_loop(x: np.ndarray, m0: float) -> float:
    total = 0.0
    for bet in geometric_bets(m0):
        wealth = 1.0
        for value in x:
            wealth *= 1.0 + bet * (value - m0)
        total += wealth / 8
    return total


@given(seed=st.integers(0, 50), m0=st.floats(0.01, 0.9), cut=st.integers(0, 40))
def test_wealth_is_the_plain_loop_however_the_stream_is_cut(seed: int, m0: float, cut: int) -> None:
    x = np.random.default_rng(seed).random(40)
    whole = EProcess.start(m0).update(x)
    parts = EProcess.start(m0).update(x[:cut]).update(x[cut:])
    assert whole.e_value == pytest.approx(wealth_by_loop(x, m0))
    assert parts.log_wealth == pytest.approx(whole.log_wealth)
    assert parts.peak == pytest.approx(whole.peak)
    assert whole.n == parts.n == 40


def test_state_survives_json_exactly() -> None:
    state = EProcess.start(0.1).update(np.random.default_rng(0).random(30))
    assert EProcess.from_json(json.loads(json.dumps(state.to_json()))) == state
    with pytest.raises(BackstayError, match="2 bets"):
        EProcess.from_json({**state.to_json(), "log_wealths": [0.0, 0.0]})


def test_expected_wealth_is_at_most_one_under_the_null() -> None:
    for m0 in (0.05, 0.3):
        for error in (0.0, m0 / 2, m0):
            factors = np.exp(log_bets(np.array([0.0, 1.0]), m0))
            assert np.all((1 - error) * factors[0] + error * factors[1] <= 1 + 1e-12)


def test_agrapa_bets_by_the_past_only() -> None:
    x = np.random.default_rng(3).random(30)
    bets = Agrapa(0.2).bets(x)
    changed = x.copy()
    changed[10:] = 0.9
    assert np.array_equal(bets[:11], Agrapa(0.2).bets(changed)[:11])
    assert Agrapa(0.2).update(x[:7]).update(x[7:]).log_wealth == pytest.approx(Agrapa(0.2).update(x).log_wealth)
    n, total, squares = 0, 0.0, 0.0
    for value, bet in zip(x, bets, strict=True):
        mean, second = (total + 0.5) / (n + 1), (squares + 0.5) / (n + 1)
        edge = mean - 0.2
        assert bet == pytest.approx(np.clip(edge / (second - mean**2 + edge**2), 0, 0.5 / 0.2))
        n, total, squares = n + 1, total + value, squares + value**2


def test_the_null_is_an_upper_bound_and_not_the_point_estimate() -> None:
    assert null_error(50, 500, 0.01) > 0.13
    assert null_error(50, 500, 0.01, 0.02) == pytest.approx(null_error(50, 500, 0.01) + 0.02)
    assert null_error(10, 10, 0.01) < 1
    with pytest.raises(BackstayError, match="tolerance"):
        null_error(1, 10, 0.01, -0.1)


def test_selected_labels_are_weighted_and_unknown_selection_is_refused() -> None:
    rng = np.random.default_rng(0)
    x = (rng.random(40000) < 0.2).astype(float)
    pi = np.where(x > 0, 0.8, 0.2)
    labelled = (rng.random(40000) < pi).astype(float)
    assert x[labelled > 0].mean() > 0.4
    assert inverse_probability(np.where(labelled > 0, x, np.nan), labelled, pi).mean() == pytest.approx(0.2, abs=0.01)
    for bad in (0.0, -0.1, np.nan, 1.5):
        with pytest.raises(BackstayError, match="no known probability"):
            inverse_probability(x[:2], labelled[:2], np.array([0.5, bad]))


def test_what_breaks_the_guarantee_is_refused() -> None:
    for bad in (np.array([-0.1]), np.array([np.nan]), np.zeros((2, 2))):
        with pytest.raises(BackstayError, match="negative or missing"):
            EProcess.start(0.1).update(bad)
    with pytest.raises(BackstayError, match="m0"):
        EProcess.start(0.0)
    assert EProcess.start(0.1).update(np.array([])) == EProcess.start(0.1)
