from __future__ import annotations

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.labelfree_losses import Described, estimate_loss
from backstay.maths.result_lists import result_list


def regression(n: int, rng: np.random.Generator, shift: float = 0.0, concept: float = 0.0):
    """A regression whose error grows with one input; its predictions are the first description."""
    x = rng.normal(size=(n, 5))
    x[:, 0] += shift
    predicted = x[:, 1] + 0.5 * x[:, 0]
    truth = predicted + (0.4 + 0.25 * np.maximum(x[:, 0], 0) + concept) * rng.normal(size=n)
    return Described(np.column_stack([predicted, x]), x), np.abs(truth - predicted)


def queries(n: int, rng: np.random.Generator, noise: float = 0.0):
    """Result lists of 25 scores; whether the first is right depends on its lead over the second."""
    scores = np.sort(rng.normal(size=(n, 25)) * 0.1 + 0.5, axis=1)[:, ::-1].copy()
    scores[:, 0] += np.maximum(rng.normal(0.15 - noise, 0.1, n), 0)
    chance = 1 / (1 + np.exp(-(12 * (scores[:, 0] - scores[:, 1]) - 1.2)))
    described = result_list(scores)
    return Described(described, described), (rng.random(n) < chance).astype(float)


def coverage(make, changed: dict[str, float], runs: int = 14) -> tuple[float, float, float]:
    """Share of intervals that hold the realised mean, mean error, and mean error of "as before"."""
    rng = np.random.default_rng(5)
    hits, errors, before = [], [], []
    for _ in range(runs):
        known, losses = make(900, rng)
        live, truth = make(400, rng, **changed)
        found = estimate_loss(known, losses, live, rng=rng, draws=25)
        if found.reasons:
            continue
        hits.append(found.low <= truth.mean() <= found.high)
        errors.append(abs(found.estimate - truth.mean()))
        before.append(abs(losses.mean() - truth.mean()))
    assert len(hits) >= 0.75 * runs
    return float(np.mean(hits)), float(np.mean(errors)), float(np.mean(before))


@pytest.mark.parametrize(
    ("make", "changed"),
    [(regression, {}), (regression, {"shift": 0.7}), (queries, {}), (queries, {"noise": 0.05})],
)
def test_intervals_hold_the_mean_loss(make, changed):
    held, error, before = coverage(make, changed)
    assert held >= 0.75  # of 14 at 95%, fewer than 11 have a chance of 4 in 1,000
    if changed:
        assert error < 0.6 * before


def test_a_changed_relation_is_seen_by_nothing():
    held, error, _ = coverage(regression, {"concept": 0.4}, runs=5)
    assert held == 0.0
    assert error > 0.2


def test_far_rows_and_few_rows_are_refused():
    rng = np.random.default_rng(1)
    known, losses = regression(900, rng)
    far = estimate_loss(known, losses, regression(300, rng, shift=5.0)[0], rng=rng)
    assert far.estimate is None
    assert far.reasons
    few = Described(known.descriptions[:300], known.inputs[:300])
    assert "at least 500" in estimate_loss(few, losses[:300], known, rng=rng).reasons[0]


def test_a_result_list_in_another_order_is_an_error():
    with pytest.raises(BackstayError, match="falling order"):
        result_list(np.linspace(0, 1, 25)[None, :])
    known, losses = regression(600, np.random.default_rng(2))
    with pytest.raises(BackstayError, match="losses below 0"):
        estimate_loss(known, losses - 5.0, known, rng=np.random.default_rng(2))
