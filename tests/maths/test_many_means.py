"""The joint test of means: its law against plain simulation, its budget for a fixed reference, what it finds."""

from __future__ import annotations

import json

import numpy as np
import pytest

from backstay.maths.many_means import ManyMeans, statistic
from backstay.maths.meanshift import MeanShift

K = 20


def correlated(rho: float) -> np.ndarray:
    return np.full((K, K), rho) + (1.0 - rho) * np.eye(K)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("alpha", [0.02, 0.001])
def test_without_reference_error_the_threshold_is_the_quantile(rho: float, alpha: float) -> None:
    """The oracle: 400,000 plain draws."""
    drawn = np.random.default_rng(3).standard_normal((400_000, K)) @ np.linalg.cholesky(correlated(rho)).T
    rate = float(np.mean(statistic(drawn) >= ManyMeans(correlated(rho)).threshold(0.0, alpha)))
    assert 0.6 * alpha < rate < 1.3 * alpha


def test_far_tails_go_on_from_near_ones() -> None:
    test = ManyMeans(np.eye(K))
    roots = [test.threshold(0.0, 10.0**-power) ** 0.25 for power in range(1, 10)]
    # Far out one column decides: T is the fourth power of the largest of twenty normals.
    assert np.all(np.diff(roots) > 0.2)
    assert roots[-1] == pytest.approx(6.67, abs=0.15)  # of a normal, two-sided, at 1e-9 / 20


def needed(kind: str, z: np.ndarray, alpha: float) -> float:
    values = {"largest": (z**2).max(axis=1), "sum": (z**2).sum(axis=1), "fourth": statistic(z)}[kind]
    return float(np.quantile(values, 1.0 - alpha))


def found(kind: str, z: np.ndarray, limit: float) -> float:
    values = {"largest": (z**2).max(axis=1), "sum": (z**2).sum(axis=1), "fourth": statistic(z)}[kind]
    return float(np.mean(values > limit))


def test_power_that_the_module_tells() -> None:
    rng = np.random.default_rng(0)
    limits = {kind: needed(kind, rng.standard_normal((100_000, K)), 0.05) for kind in ("largest", "sum", "fourth")}
    two, six = rng.standard_normal((2, 50_000, K))
    two[:, :2] += 3.086
    six[:, :6] += 1.5
    assert [round(found(kind, two, limits[kind]), 2) for kind in limits] == pytest.approx([0.79, 0.75, 0.83], abs=0.012)
    assert [round(found(kind, six, limits[kind]), 2) for kind in limits] == pytest.approx([0.35, 0.55, 0.50], abs=0.012)


def rates(rho: float, n: int, m: int, alpha: float, *, exact: bool = False) -> np.ndarray:
    """Alarm rate of each of 300 references, given the reference."""
    rng = np.random.default_rng(5)
    root = np.linalg.cholesky(correlated(rho)).T
    test = ManyMeans(correlated(rho))
    limit = test.threshold(0.0 if exact else m / n, alpha)
    windows = rng.standard_normal((10_000, K)) @ root
    errors = np.sqrt(m / n) * rng.standard_normal((300, K)) @ root
    return np.array([np.mean(statistic(windows + error) >= limit) for error in errors])


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_budget_of_a_fixed_reference(rho: float) -> None:
    kept = rates(rho, 1000, 300, 0.01)
    assert kept.mean() <= 0.01
    assert np.quantile(kept, 0.95) <= 1.5 * 0.01
    assert np.quantile(rates(rho, 1000, 300, 0.01, exact=True), 0.95) > 1.5 * 0.01


def test_evidence_is_that_of_the_columns_together() -> None:
    rng = np.random.default_rng(1)
    reference = rng.standard_normal((4000, K))
    levels = [MeanShift.fit(reference[:, [k]]) for k in range(K)]
    test = ManyMeans.fit(reference)
    assert test is not None
    usual = rng.standard_normal((1000, K)).mean(axis=0)
    moved = usual + np.where(np.arange(K) < 4, 0.1, 0.0)
    assert test.evidence(levels, usual, 1000.0, 0.01, np.inf) < 1.0
    assert test.evidence(levels, moved, 1000.0, 0.01, np.inf) > 1.0
    again = ManyMeans.from_json(json.loads(json.dumps(test.to_json())))
    assert again.evidence(levels, moved, 1000.0, 0.01, np.inf) == test.evidence(levels, moved, 1000.0, 0.01, np.inf)
    # A stream that draws from few sources errs as a reference does.
    assert test.evidence(levels, moved, 1000.0, 0.01, 500.0) < test.evidence(levels, moved, 1000.0, 0.01, np.inf)


def test_two_columns_are_no_many() -> None:
    assert ManyMeans.fit(np.random.default_rng(0).normal(size=(50, 2))) is None
    assert ManyMeans.fit(np.random.default_rng(0).normal(size=(50, 201))) is None
