"""The false-alarm budget of one user's fixed reference (METHODS 11): for each of many references its alarm rate,
given the reference, over one large bank of null windows; the 95th percentile of the rates is at most 1.5 times alpha.

References and windows are drawn from a pool of 60,000 rows that serves as the whole truth. In the full version
(1,000 references, 20,000 windows, 100 alarms expected of each) the counting error of a rate is a tenth of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from backstay.maths.columns import ColumnMap
from backstay.maths.fourier import FourierMap, median_bandwidth
from backstay.maths.meanshift import MeanShift
from backstay.maths.predictions import PredictionMap
from backstay.maths.threshold import find_threshold

POOL = 60_000


def fourier_pool(rng: np.random.Generator) -> np.ndarray:
    """Ten clusters in 64 dimensions, like pixels of handwritten digits."""
    centres = rng.normal(size=(10, 64)) * 1.2
    x = centres[rng.integers(0, 10, POOL)] + rng.normal(size=(POOL, 64)) * 0.7
    return FourierMap(1, 64, bandwidth=median_bandwidth(x, rng)).features(x)


def prediction_pool(rng: np.random.Generator) -> np.ndarray:
    """A confident classifier of ten classes, some rare."""
    z = rng.normal(size=(POOL, 10)) * 2
    shares = np.array([0.2, 0.2, 0.15, 0.1, 0.1, 0.1, 0.05, 0.05, 0.03, 0.02])
    z[np.arange(POOL), rng.choice(10, POOL, p=shares)] += 7
    scores = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return PredictionMap(10, scored=True).features(scores.argmax(axis=1), scores)


def normal_column(rng: np.random.Generator) -> np.ndarray:
    x = rng.normal(size=POOL)
    return ColumnMap.fit(x[:2000]).features(x)


def skewed_column(rng: np.random.Generator) -> np.ndarray:
    x = np.exp(1.5 * rng.normal(size=POOL))
    return ColumnMap.fit(x[:2000]).features(x)


def mostly_zero_column(rng: np.random.Generator) -> np.ndarray:
    x = np.where(rng.random(POOL) < 0.9, 0.0, np.exp(rng.normal(size=POOL)))
    x[rng.random(POOL) < 0.02] = np.nan
    return ColumnMap.fit(x[:2000]).features(x)


def category_column(rng: np.random.Generator) -> np.ndarray:
    shares = 0.8 ** np.arange(26)
    x = rng.choice(np.array(list("abcdefghijklmnopqrstuvwxyz"), dtype=object), POOL, p=shares / shares.sum())
    return ColumnMap.fit(x[:2000]).features(x)


MAPS: dict[str, tuple[Callable[[np.random.Generator], np.ndarray], bool]] = {
    "Fourier sketch": (fourier_pool, False),
    "predictions": (prediction_pool, True),
    "normal column": (normal_column, True),
    "skewed column": (skewed_column, True),
    "mostly zero column": (mostly_zero_column, True),
    "categories": (category_column, True),
}


def window_means(pool: np.ndarray, windows: int, m: int, rng: np.random.Generator) -> np.ndarray:
    """Means of `windows` windows of m rows drawn from the pool."""
    step = max(1, 8_000_000 // (m * pool.shape[1]))
    rows = pool.astype(np.float32)
    parts = [rows[rng.integers(0, POOL, (min(step, windows - i), m))].mean(axis=1) for i in range(0, windows, step)]
    return np.concatenate(parts).astype(np.float64)


def rates(
    pool: np.ndarray,
    whiten: bool,
    n: int,
    m: int,
    alpha: float,
    references: int,
    windows: int,
    *,
    inflate: bool = True,
    looks: int = 1,
) -> tuple[np.ndarray, float]:
    """Alarm rate of each reference, and the mean inflation. `looks` > 1: the worst of so many windows counts as one."""
    rng = np.random.default_rng(17)
    means = window_means(pool, windows * looks, m, rng)
    found, inflation = np.empty(references), 0.0
    for r in range(references):
        shift = MeanShift.fit(pool[rng.integers(0, POOL, n)], whiten=whiten)
        limit = find_threshold(shift.spectrum, m, alpha)
        moved = means - shift.mean
        if shift.projection is not None:
            moved = moved @ shift.projection
        distance = np.einsum("ij,ij->i", moved, moved).reshape(windows, looks).max(axis=1)
        found[r] = np.mean(distance >= (limit.value if inflate else limit.uninflated))
        inflation += limit.value / limit.uninflated / references
    return found, inflation


@pytest.mark.parametrize("name", ["predictions", "normal column", "categories"])
def test_budget_of_a_fixed_reference_quick(name: str) -> None:
    make, whiten = MAPS[name]
    found, _ = rates(make(np.random.default_rng(7)), whiten, 1000, 100, 0.02, 100, 3000)
    assert found.mean() <= 1.05 * 0.02
    assert np.quantile(found, 0.95) <= 1.6 * 0.02  # 60 alarms each: counting alone spreads the rates


def test_ignoring_reference_error_fails_quick() -> None:
    found, _ = rates(normal_column(np.random.default_rng(7)), True, 1000, 300, 0.01, 100, 3000, inflate=False)
    assert np.quantile(found, 0.95) > 2 * 0.01


def test_a_test_that_takes_the_worst_of_several_looks_fails_quick() -> None:
    found, _ = rates(normal_column(np.random.default_rng(7)), True, 1000, 100, 0.02, 60, 1500, looks=5)
    assert found.mean() > 2 * 0.02


@pytest.mark.prove
@pytest.mark.parametrize(("n", "m"), [(1000, 200), (2000, 500)])
@pytest.mark.parametrize("name", list(MAPS))
def test_budget_of_a_fixed_reference(name: str, n: int, m: int, prove_table: Callable[..., None]) -> None:
    alpha = 0.005
    make, whiten = MAPS[name]
    pool = make(np.random.default_rng(7))
    found, inflation = rates(pool, whiten, n, m, alpha, 1000, 20_000)
    prove_table(
        f"fixed-reference-{name.replace(' ', '-').lower()}-{n}-{m}",
        [
            {
                "features": name,
                "reference rows": n,
                "window rows": m,
                "alpha": alpha,
                "mean rate / alpha": float(found.mean() / alpha),
                "95th percentile / alpha": float(np.quantile(found, 0.95) / alpha),
                "99th percentile / alpha": float(np.quantile(found, 0.99) / alpha),
                "threshold inflation": inflation,
            }
        ],
    )
    assert found.mean() <= alpha
    assert found.mean() >= alpha / 20
    assert np.quantile(found, 0.95) <= 1.5 * alpha


@pytest.mark.prove
def test_mutants_fail(prove_table: Callable[..., None]) -> None:
    alpha, rows = 0.005, []
    for name in ("Fourier sketch", "normal column"):
        make, whiten = MAPS[name]
        pool = make(np.random.default_rng(7))
        exact, _ = rates(pool, whiten, 1000, 500, alpha, 200, 20_000, inflate=False)
        peeking, _ = rates(pool, whiten, 1000, 200, alpha, 100, 10_000, looks=7)
        for mutant, found in (("ignores reference error", exact), ("worst of seven looks", peeking)):
            rows.append(
                {
                    "features": name,
                    "mutant": mutant,
                    "mean / alpha": float(found.mean() / alpha),
                    "95th percentile / alpha": float(np.quantile(found, 0.95) / alpha),
                }
            )
            assert np.quantile(found, 0.95) > 1.5 * alpha
    prove_table("fixed-reference-mutants", rows)
