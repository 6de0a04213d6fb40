from __future__ import annotations

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.intervals import bernoulli_sequence
from backstay.maths.ppi import ppi_plus_plus
from backstay.maths.ppi_sequence import MOST_STAKED, _bets, _trusts, ppi_sequence


def draw(rng: np.random.Generator, accuracy: float = 0.9, n: int = 120, pool: int = 3000, spread: float = 0.4):
    chance = rng.beta(accuracy * spread, (1 - accuracy) * spread, size=n + pool)
    return (rng.random(n) < chance[:n]).astype(float), chance[:n], chance[n:]


def test_good_predictions_narrow_it_below_that_of_labels_alone():
    y, f, pool = draw(np.random.default_rng(1), n=200, pool=20_000)
    low, high = ppi_sequence(y, f, pool, whole=True).last
    alone = bernoulli_sequence(y.sum(), 200)
    once = ppi_plus_plus(y, f, pool)
    assert high - low < 0.75 * (alone.high - alone.low)
    assert high - low > once.high - once.low
    assert low <= once.estimate <= high


def test_an_unknown_mean_of_the_predictions_is_paid_for():
    y, f, pool = draw(np.random.default_rng(2), pool=500)
    known, estimated = (ppi_sequence(y, f, pool, whole=whole).last for whole in (True, False))
    assert estimated.low < known.low
    assert estimated.high > known.high


def test_the_trust_and_the_stakes_do_not_see_the_label_that_they_are_for():
    rng = np.random.default_rng(3)
    y, f, _ = draw(rng)
    other = y.copy()
    other[60:] = 1 - other[60:]
    assert np.array_equal(_trusts(y, f)[:61], _trusts(other, f)[:61])
    assert np.array_equal(_bets(y, 0.05)[:61], _bets(other, 0.05)[:61])
    assert not np.array_equal(_trusts(y, f)[61:], _trusts(other, f)[61:])
    # the prediction of the very row may not be in its trust either, being no more random than its label
    moved = f.copy()
    moved[60] = 0.0
    assert _trusts(y, moved)[60] == _trusts(y, f)[60]


def test_one_label_at_a_time_equals_all_at_once():
    y, f, pool = draw(np.random.default_rng(4), n=40)
    path = ppi_sequence(y, f, pool)
    for n in (1, 7, 40):
        assert ppi_sequence(y[:n], f[:n], pool).last == (path.low[n - 1], path.high[n - 1])


def test_it_is_the_capital_of_two_bettors_by_plain_loops():
    y, f, pool = draw(np.random.default_rng(5), n=25)
    low, high = ppi_sequence(y, f, pool, whole=True).last
    centre = pool.mean()
    trust = _trusts(y, f)
    z = y - trust * (f - centre)
    bets = _bets(z, 0.05)
    for m in (m for m in (low - 0.01, low + 0.01, high - 0.01, high + 0.01) if 0 < m < 1):
        up = down = 1.0
        for i in range(25):
            up *= 1 + min(bets[i], MOST_STAKED / max(m + trust[i] * (1 - centre), 1e-9)) * (z[i] - m)
            down *= 1 - min(bets[i], MOST_STAKED / max(1 + trust[i] * centre - m, 1e-9)) * (z[i] - m)
        assert (max(up, down) < 2 / 0.05) == (low < m < high)


def test_what_is_no_chance_is_an_error():
    with pytest.raises(BackstayError, match="outside 0 to 1"):
        ppi_sequence(np.ones(3), np.array([0.1, 2.0, 0.3]), np.ones(9))
