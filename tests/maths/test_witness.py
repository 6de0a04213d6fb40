from __future__ import annotations

import json

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.witness import Witness


def test_two_updates_are_one_and_json_keeps_all():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 5)), rng.normal(size=(60, 5)) + 0.3
    whole = Witness.start(5).update(x, y)
    half = Witness.from_json(json.loads(json.dumps(Witness.start(5).update(x[:20], y[:20]).to_json())))
    again = half.update(x[20:], y[20:])
    assert again.to_json() == whole.to_json()


def test_swapping_a_pair_turns_its_bet_round():
    """Given the past, z of (x, y) is minus z of (y, x): the bet is fair whenever the two have one law."""
    rng = np.random.default_rng(2)
    past = Witness.start(4).update(rng.normal(size=(50, 4)), rng.normal(size=(50, 4)) + 1.0)
    x, y = rng.normal(size=(1, 4)), rng.normal(size=(1, 4))
    gain, loss = (np.expm1(past.update(*pair).log_wealth - past.log_wealth) for pair in ((x, y), (y, x)))
    assert past.stake > 0
    assert np.isclose(gain, -loss)


def test_the_first_pairs_stake_nothing():
    state = Witness.start(2).update(np.zeros((2, 2)), np.array([[9.0, 0.0], [9.0, 0.0]]))
    assert state.log_wealth == 0.0


def test_rows_without_a_partner_are_an_error():
    with pytest.raises(BackstayError, match="unused reference row"):
        Witness.start(2).update(np.zeros((2, 2)), np.zeros((3, 2)))
