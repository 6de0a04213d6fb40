"""Streams that are right on average and have good and bad days: false alarms of bets on rows and on blocks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from backstay.maths.betting import EProcess
from backstay.maths.blocks import Blocks

ALPHA = 0.05
TOLERANCE = 0.02


def stream(rng: np.random.Generator, rows: int, regime: int, spread: float = 0.05, mean: float = 0.10) -> np.ndarray:
    """Errors at a rate of mean - spread and mean + spread in turns of `regime` rows on average; 0 for no turns."""
    rate = np.full(rows, mean)
    at, high = 0, bool(rng.random() < 0.5)
    while regime and at < rows:
        length = int(rng.geometric(1 / regime))
        rate[at : at + length] = mean + spread if high else mean - spread
        at, high = at + length, not high
    return (rng.random(rows) < rate).astype(float)


def alarms(runs: int, rows: int, regime: int, spread: float = 0.05, mean: float = 0.10, first: int = 25) -> dict:
    """Runs with an alarm ever: bets on rows against .10, on rows with the tolerance, on blocks with it."""
    rng = np.random.default_rng([runs, rows, regime, int(100 * spread), int(100 * mean)])
    counts, lengths = np.zeros(3, dtype=int), []
    for _ in range(runs):
        x = stream(rng, rows, regime, spread, mean)
        blocks, means = Blocks.start(TOLERANCE, first).cut(x)
        lengths.append(blocks.length)
        found = (
            EProcess.start(0.10).update(x),
            EProcess.start(0.10 + TOLERANCE).update(x),
            EProcess.start(0.10 + TOLERANCE).update(means),
        )
        counts += [process.peak >= -np.log(ALPHA) for process in found]
    names = ("rows", "rows, tolerance", "blocks, tolerance")
    return {**dict(zip(names, map(int, counts), strict=True)), "median block": float(np.median(lengths))}


@pytest.mark.parametrize("regime", [0, 50, 200])
def test_blocks_keep_the_level_under_regimes_quick(regime: int) -> None:
    found = alarms(30, 3000, regime)
    assert found["blocks, tolerance"] <= binom.ppf(0.999, 30, ALPHA)


def test_rows_do_not_quick() -> None:
    assert alarms(30, 3000, 200)["rows"] > binom.ppf(0.999, 30, ALPHA)


def test_blocks_find_a_rise_quick() -> None:
    assert alarms(10, 3000, 0, mean=0.2)["blocks, tolerance"] == 10


@pytest.mark.prove
def test_blocks(prove_table: Callable[..., None]) -> None:
    rows = []
    for mean, spread, regime in (
        (0.10, 0.05, 0),
        (0.10, 0.05, 10),
        (0.10, 0.05, 50),
        (0.10, 0.05, 200),
        (0.10, 0.08, 50),
        (0.10, 0.08, 200),
        (0.15, 0.05, 50),
        (0.20, 0.05, 50),
    ):
        found = alarms(400, 5000, regime, spread, mean)
        rows.append({"mean error": mean, "turns of rows": regime, "spread": spread, "of": 400, **found})
    prove_table("blocks", rows)
    for row in rows:
        if float(row["mean error"]) == 0.10 and float(row["spread"]) == 0.05:
            assert int(row["blocks, tolerance"]) <= binom.ppf(0.999, 400, ALPHA)
        if float(row["mean error"]) == 0.20:
            assert int(row["blocks, tolerance"]) >= 396
    worst = next(row for row in rows if row["turns of rows"] == 200)
    assert int(worst["rows"]) > binom.ppf(0.999, 400, ALPHA)
