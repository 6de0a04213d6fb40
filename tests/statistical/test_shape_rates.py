"""Alarm rates of the test of shape (spread, collapse, neighbourhoods) on one fixed reference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from backstay.maths.meanshift import MeanShift
from backstay.maths.shape import ShapeMap

POOL, REFERENCES = 12_000, 1000


def rates(references: int, n: int, m: int, alpha: float, windows: int, width: int = 32) -> np.ndarray:
    """Alarm rate of each reference; every one has neighbours of its own, so the pool is described anew for each."""
    rng = np.random.default_rng([references, n, m])
    centres = rng.normal(size=(6, width)) * 1.5
    pool = centres[rng.integers(0, 6, POOL)] + rng.normal(size=(POOL, width))
    found = np.empty(references)
    for r in range(references):
        rows = rng.integers(0, POOL, n)
        shape = ShapeMap.fit(pool[rows[n // 4 :]], pool[rows[: n // 4]] + 1e-3 * rng.normal(size=(n // 4, width)))
        shift = MeanShift.fit(shape.features(pool[rows[n // 4 :]]), whiten=True)
        described = (shape.features(pool) - shift.mean) @ shift.projection
        means = np.concatenate([described[rng.integers(0, POOL, (250, m))].mean(axis=1) for _ in range(windows // 250)])
        found[r] = np.mean(np.sum(means**2, axis=1) >= shift.threshold(m, alpha))
    return found


def test_the_rate_of_fixed_references_is_within_the_promise_quick() -> None:
    found = rates(12, 800, 100, 0.02, 1500)
    assert found.mean() <= 0.02
    assert np.quantile(found, 0.95) <= 2.0 * 0.02  # 30 alarms each, of 12 references: counting alone spreads the rates


@pytest.mark.prove
def test_the_rate_of_fixed_references(prove_table: Callable[..., None]) -> None:
    alpha = 0.01
    found = rates(REFERENCES, 1000, 200, alpha, 10_000)
    prove_table(
        "shape-rates",
        [
            {
                "reference rows": 1000,
                "window rows": 200,
                "alpha": alpha,
                "references": REFERENCES,
                "mean rate / alpha": float(found.mean() / alpha),
                "95th percentile / alpha": float(np.quantile(found, 0.95) / alpha),
            }
        ],
    )
    assert alpha / 20 <= found.mean() <= alpha
    assert np.quantile(found, 0.95) <= 1.5 * alpha
