"""Growing-bag martingale and betting witness: false alarms under exchangeability, mutants that break it, and delay."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from backstay.maths.exchangeability import GrowingBag
from backstay.maths.witness import Witness

ALPHA = 0.01


def bag_runs(
    runs: int, n: int, steps: int, shift: float = 0.0, frozen: bool = False, heavy: bool = False
) -> tuple[int, float]:
    """Runs that alarmed at 1/ALPHA, and the median step of alarm (infinite where half found nothing).

    `frozen` is the mutant that ranks among the reference alone.
    """
    rng = np.random.default_rng([runs, n, steps, int(10 * shift)])
    first = np.full(runs, np.inf)
    for r in range(runs):
        draw = rng.standard_cauchy if heavy else rng.standard_normal
        bag, live, luck = GrowingBag.start(draw(n)), draw(steps) + shift, rng.random(steps)
        if frozen:
            counts = n - np.searchsorted(bag.scores, live, side="right")
            path = _jumper((counts + luck) / (n + 1))
        else:
            path = bag.path(live, luck)
        crossed = np.flatnonzero(path >= -np.log(ALPHA))
        if len(crossed):
            first[r] = crossed[0] + 1
    return int(np.sum(np.isfinite(first))), float(np.median(first))


def _jumper(p: np.ndarray) -> np.ndarray:
    """Log wealth of the simple jumper by a plain loop, also an oracle for the class."""
    eps, capital, path = np.array([-1, -0.5, 0, 0.5, 1]), np.full(5, 0.2), np.empty(len(p))
    shift = 0.0
    for t, one in enumerate(p):
        capital = 0.99 * capital + 0.01 * capital.mean()
        capital = capital * (1 + 2 * eps * (one - 0.5))
        shift += np.log(capital.sum())
        path[t] = shift
        capital = capital / capital.sum()
    return path


def witness_runs(runs: int, d: int, pairs: int, change: str = "none", reuse: bool = False) -> tuple[int, float]:
    """Runs that alarmed at 1/.05, and the median pair of alarm. `reuse`: the mutant with 20 reference rows for all."""
    rng = np.random.default_rng([runs, d, pairs, len(change)])
    first = np.full(runs, np.inf)
    for r in range(runs):
        centres = rng.normal(size=(4, d))
        x = centres[rng.integers(0, 4, pairs)] + rng.normal(size=(pairs, d))
        y = centres[rng.integers(0, 4, pairs)] + rng.normal(size=(pairs, d))
        if reuse:
            x = x[rng.integers(0, 20, pairs)]
        if change == "mean .3":
            y += 0.3
        if change == "prior 25%":
            y[: pairs // 4 * 4 : 4] = centres[0] + rng.normal(size=(len(y[: pairs // 4 * 4 : 4]), d))
        state = Witness.start(d)
        for k in range(0, pairs, 10):
            state = state.update(x[k : k + 10], y[k : k + 10])
            if state.alarm(0.05):
                first[r] = k + 10
                break
    return int(np.sum(np.isfinite(first))), float(np.median(first))


def test_the_bag_keeps_its_level_quick() -> None:
    assert bag_runs(60, 50, 400)[0] <= binom.ppf(0.999, 60, ALPHA)
    assert bag_runs(40, 50, 400, heavy=True)[0] <= binom.ppf(0.999, 40, ALPHA)


def test_a_frozen_bag_does_not_quick() -> None:
    assert bag_runs(40, 50, 2000, frozen=True)[0] > binom.ppf(0.999, 40, ALPHA)


def test_a_shift_of_one_standard_deviation_is_found_quick() -> None:
    found, delay = bag_runs(20, 1000, 300, shift=1.0)
    assert found == 20
    assert delay < 80


def test_the_wealth_is_that_of_a_plain_loop() -> None:
    rng = np.random.default_rng(4)
    bag, live, luck = GrowingBag.start(rng.normal(size=100)), rng.normal(size=200).round(1), rng.random(200)
    known, p = bag.scores.tolist(), []
    for score, u in zip(live, luck, strict=True):
        above, ties = sum(s > score for s in known), sum(s == score for s in known)
        p.append((above + u * (ties + 1)) / (len(known) + 1))
        known.append(score)
    assert np.allclose(bag.ranks(live, luck), p)
    assert np.allclose(bag.path(live, luck), _jumper(np.array(p)))


def test_the_witness_keeps_its_level_and_finds_a_shift_quick() -> None:
    assert witness_runs(60, 16, 200)[0] <= binom.ppf(0.999, 60, 0.05)
    found, delay = witness_runs(20, 64, 200, "mean .3")
    assert found == 20
    assert delay <= 80


def test_a_recycled_reference_breaks_the_witness_quick() -> None:
    assert witness_runs(30, 64, 400, reuse=True)[0] > binom.ppf(0.999, 30, 0.05)


@pytest.mark.prove
def test_the_bag(prove_table: Callable[..., None]) -> None:
    rows = []
    for name, runs, n, steps, shift, frozen, heavy in (
        ("no change", 1000, 200, 2000, 0.0, False, False),
        ("no change, heavy tails", 500, 200, 2000, 0.0, False, True),
        ("no change, frozen bag (mutant)", 300, 200, 2000, 0.0, True, False),
        ("shift .25 sd", 100, 1000, 2000, 0.25, False, False),
        ("shift .5 sd", 100, 1000, 2000, 0.5, False, False),
        ("shift 1 sd", 100, 1000, 2000, 1.0, False, False),
    ):
        alarms, delay = bag_runs(runs, n, steps, shift, frozen, heavy)
        rows.append(
            {
                "case": name,
                "reference": n,
                "steps": steps,
                "alarms": alarms,
                "of": runs,
                "median steps to alarm": delay if np.isfinite(delay) else "-",
            }
        )
    prove_table("growing-bag", rows)
    for row in rows[:2]:
        assert int(row["alarms"]) <= binom.ppf(0.999, int(row["of"]), ALPHA)
    assert int(rows[2]["alarms"]) > binom.ppf(0.999, 300, ALPHA)
    assert int(rows[5]["alarms"]) == 100


@pytest.mark.prove
def test_the_witness(prove_table: Callable[..., None]) -> None:
    rows = []
    for name, runs, d, pairs, reuse in (
        ("none", 1000, 64, 200, False),
        ("none", 200, 384, 200, False),
        ("none, 20 reference rows for all (mutant)", 200, 64, 400, True),
        ("mean .3", 200, 64, 200, False),
        ("prior 25%", 200, 64, 400, False),
    ):
        alarms, delay = witness_runs(runs, d, pairs, name.split(",")[0], reuse)
        rows.append(
            {
                "change": name,
                "numbers": d,
                "pairs": pairs,
                "alarms": alarms,
                "of": runs,
                "median pairs to alarm": delay if np.isfinite(delay) else "-",
            }
        )
    prove_table("betting-witness", rows)
    for row in rows[:2]:
        assert int(row["alarms"]) <= binom.ppf(0.999, int(row["of"]), 0.05)
    assert int(rows[2]["alarms"]) > binom.ppf(0.999, 200, 0.05)
    assert int(rows[3]["alarms"]) == 200
