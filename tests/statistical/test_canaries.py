"""Two arms without a difference, looked at often (METHODS 1c), and the bounded-mean sequence at every n (1a)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from backstay.maths.differences import MeanDifference, boundary
from backstay.maths.group_sequential import boundaries
from backstay.maths.sequences import MeanSequence

ROWS = 6000
LOOKS = np.arange(ROWS // 30, ROWS + 1, ROWS // 30)


def scores(lift: float, runs: int, seed: int) -> np.ndarray:
    """z of the difference [runs, 6000] after each pair of rows, conversion .10 against .10 (1 + lift)."""
    rng = np.random.default_rng(seed)
    n = np.arange(1, ROWS + 1)
    a = np.cumsum(rng.random((runs, ROWS), dtype=np.float32) < 0.1, axis=1) / n
    b = np.cumsum(rng.random((runs, ROWS), dtype=np.float32) < 0.1 * (1 + lift), axis=1) / n
    error = np.sqrt(np.maximum(a * (1 - a) + b * (1 - b), 1e-9) / n)
    return np.asarray((b - a) / error)


def stops(z: np.ndarray) -> dict[str, tuple[float, float]]:
    """Share stopped and mean rows an arm, of each rule."""
    n = np.arange(1, ROWS + 1)
    wall = np.where(n >= 200, boundary(n.astype(float), 2000.0, 0.05), np.inf)
    planned = np.abs(z[:, LOOKS - 1])
    over = {
        "t-test at every look": (planned >= 1.96, LOOKS),
        "confidence sequence, every row": (np.abs(z) >= wall, n),
        "O'Brien-Fleming, 30 looks": (planned >= np.array(boundaries(30)), LOOKS),
        "Pocock, 30 looks": (planned >= np.array(boundaries(30, shape="pocock")), LOOKS),
        "fixed size": (planned[:, -1:] >= 1.96, LOOKS[-1:]),
    }
    out = {}
    for name, (crossed, sizes) in over.items():
        any_ = crossed.any(axis=1)
        out[name] = (float(any_.mean()), float(np.where(any_, sizes[crossed.argmax(axis=1)], ROWS).mean()))
    return out


def test_the_vectorised_rule_is_the_object() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.random(1000) < 0.1).astype(float), (rng.random(1000) < 0.14).astype(float)
    low, high = MeanDifference.start(2000.0).update(a, b).bounds()
    error = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 1000)
    assert (high - low) / 2 / error == pytest.approx(float(boundary(1000.0, 2000.0, 0.05)))


def test_level_quick() -> None:
    found = stops(scores(0.0, 200, 1))
    limit = binom.ppf(0.999, 200, 0.05) / 200
    assert max(found["confidence sequence, every row"][0], found["O'Brien-Fleming, 30 looks"][0]) <= limit
    assert found["t-test at every look"][0] > limit


@pytest.mark.prove
def test_level_and_power(prove_table: Callable[..., None]) -> None:
    runs = 1000
    null, fifth, more = (stops(scores(lift, runs, seed)) for lift, seed in ((0.0, 2), (0.2, 3), (0.4, 4)))
    prove_table(
        "canaries-conversions",
        [
            {
                "rule": name,
                "stops without a difference": null[name][0],
                "power at +20%": fifth[name][0],
                "mean rows at +20%": fifth[name][1],
                "power at +40%": more[name][0],
                "mean rows at +40%": more[name][1],
            }
            for name in null
        ],
    )
    limit = binom.ppf(0.999, runs, 0.05) / runs
    for name in ("confidence sequence, every row", "O'Brien-Fleming, 30 looks", "Pocock, 30 looks", "fixed size"):
        assert 0.05 / 20 <= null[name][0] <= limit
    assert null["t-test at every look"][0] > limit


@pytest.mark.prove
def test_the_sequence_covers_at_every_n(prove_table: Callable[..., None]) -> None:
    rng = np.random.default_rng(5)
    rows, runs = [], 1000
    for name, mean in (("0/1, mean .10", 0.1), ("0/1, mean .50", 0.5), ("beta(1, 9)", 0.1)):
        missed, widths = 0, []
        for _ in range(runs):
            x = rng.beta(1, 9, 3000) if name.startswith("beta") else (rng.random(3000) < mean).astype(float)
            low, high = MeanSequence.start(0.05).path(x)
            missed += bool(low.max() > mean or high.min() < mean)
            widths.append((high[999] - low[999]) / (2 * 1.96 * x[:1000].std() / np.sqrt(1000)))
        width = float(np.mean(widths))
        rows.append({"values": name, "missed by n = 3000": missed / runs, "width over Wald at n = 1000": width})
    prove_table("sequence-coverage", rows)
    assert max(float(row["missed by n = 3000"]) for row in rows) <= binom.ppf(0.999, runs, 0.05) / runs
