"""The conformal limit keeps its level on average over splits, whatever the distribution, and no looser limit does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.conformal import conformal_limit

SPLITS = 2000


def share_beyond(draw, n: int, level: float, *, limit=conformal_limit) -> float:
    """Mean over many splits of the share of 50 further rows beyond the limit set on n rows."""
    rng = np.random.default_rng(3)
    found = np.empty(SPLITS)
    for i in range(SPLITS):
        rows = draw(rng, n + 50)
        found[i] = np.mean(rows[n:] > limit(rows[:n], level))
    return float(found.mean())


@pytest.mark.parametrize(("n", "level"), [(19, 0.05), (25, 0.1), (99, 0.05), (60, 0.2)])
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, m: rng.exponential(size=m),
        lambda rng, m: np.exp(3 * rng.standard_normal(m)),
        lambda rng, m: rng.integers(0, 4, m).astype(float),
    ],
    ids=["exponential", "heavy", "ties"],
)
def test_the_share_of_known_rows_beyond_the_limit_is_at_most_the_level(draw, n, level):
    share = share_beyond(draw, n, level)
    # The share on one split varies by about sqrt(a (1 - a) (1/n + 1/50)); the mean over the splits by a 45th of it.
    error = math.sqrt(level * (1 - level) * (1 / n + 1 / 50) / SPLITS)
    assert share <= level + 4 * error


@pytest.mark.parametrize(("n", "level"), [(19, 0.05), (99, 0.05), (60, 0.2)])
def test_without_ties_the_share_is_what_theory_says(n, level):
    place = math.ceil((n + 1) * (1 - level) - 1e-9)
    exact = 1 - place / (n + 1)
    error = math.sqrt(level * (1 - level) * (1 / n + 1 / 50) / SPLITS)
    assert abs(share_beyond(lambda rng, m: rng.random(m), n, level) - exact) <= 4 * error


def test_the_plain_quantile_of_the_rows_would_not_keep_the_level():
    def plain(rows, level):
        return np.quantile(rows, 1 - level)

    assert share_beyond(lambda rng, m: rng.random(m), 19, 0.05, limit=plain) > 0.08


def test_too_few_rows_are_refused_and_said():
    with pytest.raises(BackstayError, match="18 rows to calibrate on; give 19 or more"):
        conformal_limit(np.arange(18.0), 0.05)
    assert conformal_limit(np.arange(19.0), 0.05) == 18.0
    with pytest.raises(BackstayError, match="NaN"):
        conformal_limit(np.array([1.0, np.nan] * 20), 0.05)
    with pytest.raises(BackstayError, match="between 0 and 1"):
        conformal_limit(np.arange(9.0), 1.0)
