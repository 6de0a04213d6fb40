from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binom

from backstay.kernel.errors import BackstayError
from backstay.maths.differences import EVERYTHING, MeanDifference, boundary, winsor_limits


def test_the_bounds_are_the_published_formula() -> None:
    rng = np.random.default_rng(0)
    a, b, t = rng.random(500), rng.random(500) + 0.1, 500
    state = MeanDifference.start(1000, 0.05).update(a[:200], b[:300]).update(a[200:], b[300:])
    low, high = state.bounds()
    sizes = np.linspace(0.001, 0.05, 20_000)
    widths = np.sqrt((1000 * sizes + 1) / (1000 * sizes) * np.log((1000 * sizes + 1) / 0.05**2))
    r2 = sizes[np.argmin(widths)]  # what r^2 = u / t* minimises
    sd = np.sqrt(a.var(ddof=1) + b.var(ddof=1))
    half = sd * np.sqrt(2 * (t * r2 + 1) / (t**2 * r2) * np.log(np.sqrt(t * r2 + 1) / 0.05))
    assert (low + high) / 2 == pytest.approx(b.mean() - a.mean())
    assert (high - low) / 2 == pytest.approx(half, rel=1e-4)


def test_the_boundary_is_lowest_where_it_was_asked() -> None:
    rows = np.arange(100, 5000, 10).astype(float)
    widths = boundary(rows, 800.0, 0.01)
    assert abs(rows[np.argmin(widths)] - 800) <= 10


def test_separate_arms_are_wider_and_neither_speaks_early() -> None:
    rng = np.random.default_rng(1)
    state = MeanDifference.start(1000).update(rng.random(199), rng.random(900))
    assert state.bounds() == EVERYTHING == state.separate()
    state = state.update(a=rng.random(200))
    assert state.separate().low < state.bounds().low < state.bounds().high < state.separate().high


def test_state_survives_json_exactly() -> None:
    rng = np.random.default_rng(2)
    state = MeanDifference.start(1000).update(rng.random(300), rng.random(250))
    assert MeanDifference.from_json(json.loads(json.dumps(state.to_json()))) == state


def test_unequal_arms_keep_the_level_and_peeking_does_not() -> None:
    """Twice the traffic on one arm, thirty looks, no difference."""
    rng = np.random.default_rng(3)
    n = np.arange(100, 3001, 100)
    a = np.cumsum(rng.random((400, 6000)) < 0.1, axis=1)[:, 2 * n - 1]
    b = np.cumsum(rng.random((400, 3000)) < 0.1, axis=1)[:, n - 1]
    pa, pb = a / (2 * n), b / n
    error = np.sqrt(pa * (1 - pa) / (2 * n) + pb * (1 - pb) / n)
    rows = 2 / (1 / (2 * n) + 1 / n)
    late = n >= 200
    z = (np.abs(pb - pa) / error)[:, late]
    assert np.any(z > boundary(rows, 3000.0, 0.05)[late], axis=1).sum() <= binom.ppf(0.999, 400, 0.05)
    assert np.any(z > 1.96, axis=1).sum() > binom.ppf(0.999, 400, 0.05)


def test_winsor_limits_clip_the_share_and_tell_it() -> None:
    earlier = np.random.default_rng(4).lognormal(0, 1.5, 10_000)
    limits = winsor_limits(earlier, 0.02)
    clipped, share = limits.clip(earlier)
    assert share == pytest.approx(0.04, abs=0.001)
    assert clipped.max() == limits.high
    assert clipped.min() == limits.low
    assert limits.clip(np.array([limits.low, limits.high]))[1] == 0.0


def test_bad_plans_are_refused() -> None:
    for bad in (0, np.nan, np.inf):
        with pytest.raises(BackstayError):
            MeanDifference.start(bad)
    with pytest.raises(BackstayError):
        MeanDifference.start(100).update(a=np.array([1.0, np.nan]))
    with pytest.raises(BackstayError):
        winsor_limits(np.ones(3), 0.5)
