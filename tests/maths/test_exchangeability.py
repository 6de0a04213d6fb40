from __future__ import annotations

import json

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.exchangeability import GrowingBag


def test_two_updates_are_one_and_json_keeps_all():
    rng = np.random.default_rng(1)
    bag, live, luck = GrowingBag.start(rng.normal(size=80)), rng.normal(size=60), rng.random(60)
    whole = bag.update(live, luck)
    half = GrowingBag.from_json(json.loads(json.dumps(bag.update(live[:25], luck[:25]).to_json())))
    again = half.update(live[25:], luck[25:])
    assert np.isclose(again.log_wealth, whole.log_wealth, atol=1e-12)
    assert np.array_equal(again.scores, whole.scores)
    assert (again.steps, again.peak >= again.log_wealth) == (60, True)


def test_among_equal_scores_chance_alone_decides():
    p = GrowingBag.start(np.zeros(100)).ranks(np.zeros(3), np.array([0.0, 0.5, 1.0]))
    assert p.tolist() == [0.0, 0.5, 1.0]


def test_ranks_are_uniform_whatever_the_law():
    rng = np.random.default_rng(2)
    p = GrowingBag.start(np.exp(rng.normal(size=30))).ranks(np.exp(rng.normal(size=4000)), rng.random(4000))
    counts = np.histogram(p, bins=10, range=(0, 1))[0]
    assert np.sum((counts - 400) ** 2 / 400) < 30  # chi square with 9 degrees of freedom: 1 in 2,000


def test_numbers_that_are_no_chances_are_an_error():
    with pytest.raises(BackstayError, match="outside 0 to 1"):
        GrowingBag.start(np.zeros(3)).ranks(np.zeros(1), np.array([2.0]))
