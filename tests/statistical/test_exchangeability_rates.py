"""The growing bag for one user's fixed reference: the share of years with an alarm under each of many references.

Over references and years together the martingale keeps its level by Ville's inequality. A user has one reference, and
its luck is in the first ranks of every year: how much that matters is measured here, by ranks that are those of the
product (tested) and bets of many years at once.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from backstay.maths.exchangeability import BETS, JUMP, GrowingBag
from backstay.monitor.detectors.exchangeability import lowered

LEVELS = (0.2, 0.05)
LOOKS, REFERENCES = 50, 1000


def ranks(reference: np.ndarray, live: np.ndarray, luck: np.ndarray) -> np.ndarray:
    """p of continuous scores, each ranked among the bag and those before it."""
    bag = sorted(reference.tolist())
    found = np.empty(len(live))
    for t, score in enumerate(live.tolist()):
        place = bisect_left(bag, score)
        found[t] = (len(bag) - place + luck[t]) / (len(bag) + 1)
        bag.insert(place, score)
    return found


def peaks(p: np.ndarray) -> np.ndarray:
    """Highest log wealth of each year [years] of ranks [years, steps], all years at once: 1 is laid, in 50 looks."""
    count = len(BETS)
    wealth = np.zeros((len(p), count))
    highest = np.full(len(p), -np.inf)
    for t in range(p.shape[1]):
        if t % (p.shape[1] // LOOKS) == 0:
            wealth = wealth + 1.0 / LOOKS / count
        jumped = (1.0 - JUMP) * wealth + JUMP * wealth.sum(axis=1, keepdims=True) / count
        wealth = jumped * (1.0 + 2.0 * BETS * (p[:, t, None] - 0.5))
        np.maximum(highest, np.log(wealth.sum(axis=1)), out=highest)
    return highest


def highest(references: int, rows: int, years: int, steps: int, seed: int) -> np.ndarray:
    """The highest log wealth of each year under each reference [references, years]."""
    rng = np.random.default_rng([seed, rows])
    found = []
    for _ in range(references):
        reference = rng.normal(size=rows)
        found.append(
            peaks(np.stack([ranks(reference, rng.normal(size=steps), rng.random(steps)) for _ in range(years)]))
        )
    return np.stack(found)


def rates(wealth: np.ndarray, level: float, rows: int) -> np.ndarray:
    """The share of years with an alarm under each reference."""
    return np.asarray((wealth >= -np.log(lowered(level, rows))).mean(axis=1))


def test_ranks_and_bets_are_those_of_the_product() -> None:
    rng = np.random.default_rng(1)
    reference, live, luck = rng.normal(size=50), rng.normal(size=100) + 0.5, rng.random(100)
    bag = GrowingBag.start(reference)
    assert np.allclose(ranks(reference, live, luck), bag.ranks(live, luck))
    after = replace(bag, log_wealth=-np.inf, peak=-np.inf)
    for look in range(LOOKS):
        part = slice(2 * look, 2 * look + 2)
        after = after.staked(1.0 / LOOKS).update(live[part], luck[part])
    assert peaks(ranks(reference, live, luck)[None])[0] == pytest.approx(after.peak)
    order: list[float] = []
    for score in live.tolist():
        insort(order, score)
    assert np.allclose(after.scores, np.sort(np.concatenate([reference, order])))


def test_a_few_references_keep_the_level() -> None:
    found = rates(highest(12, 200, 40, 500, seed=2), 0.2, 200)
    assert 0.2 / 20 <= found.mean() <= 0.2  # and no dead test


@pytest.mark.prove
def test_each_reference_keeps_the_level(prove_table: Callable[..., None]) -> None:
    rows = []
    kept: list[tuple[float, float]] = []
    for size in (200, 500, 2000):
        wealth = highest(REFERENCES, size, 300, 1000, seed=3)
        for level in LEVELS:
            found = rates(wealth, level, size) / level
            plain = (wealth >= -np.log(level)).mean(axis=1) / level
            kept.append((float(found.mean()), float(np.quantile(found, 0.95))))
            rows.append(
                {
                    "reference rows in the bag": size,
                    "level a year": level,
                    "references": REFERENCES,
                    "mean rate / level": kept[-1][0],
                    "95th percentile / level": kept[-1][1],
                    "not lowered: mean": float(plain.mean()),
                    "not lowered: 95th percentile": float(np.quantile(plain, 0.95)),
                }
            )
    prove_table("exchangeability-rates", rows)
    assert all(mean <= 1.0 and high <= 1.5 for mean, high in kept)
