"""The false-alarm budget of one user's fixed reference, for tests of a share (`schema`, `novelty`, constant columns).

No windows are drawn: given the reference, the chance of an alarm is a binomial tail, computed exactly.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from backstay.monitor.detectors.rates import Share

ALPHA = 0.005


def rates(share: float, n: int, m: int, references: int, *, count_error: bool = True) -> tuple[np.ndarray, float]:
    """Alarm rate of each reference, and the share of marked rows that a window needs on average to alarm."""
    marked = np.random.default_rng(11).binomial(n, share, references)
    counts = np.arange(m + 1)
    chances, needed = {}, {}
    for k in np.unique(marked):
        reference = Share(float(k), float(n)) if count_error else Share(max(k, 0.5) * 1e4, n * 1e4)
        alarms = np.array([reference.evidence(Share(float(c), float(m)), ALPHA) >= 1.0 for c in counts])
        needed[k] = float(counts[alarms][0]) / m if alarms.any() else 1.0
        chances[k] = float(binom.pmf(counts, m, share)[alarms].sum())
    return np.array([chances[k] for k in marked]), float(np.mean([needed[k] for k in marked]))


def test_budget_of_a_fixed_reference_quick() -> None:
    found, _ = rates(0.01, 500, 300, 300)
    assert np.quantile(found, 0.95) <= 1.5 * ALPHA
    assert found.mean() <= ALPHA


def test_ignoring_the_references_error_fails_quick() -> None:
    found, _ = rates(0.01, 500, 1000, 300, count_error=False)
    assert np.quantile(found, 0.95) > 1.5 * ALPHA


@pytest.mark.prove
def test_budget_of_a_fixed_reference(prove_table: Callable[..., None]) -> None:
    rows = []
    for share in (0.0002, 0.01, 0.1):
        for n, m in ((1000, 200), (1000, 1000), (20_000, 1000)):
            found, needed = rates(share, n, m, 1000)
            naive, _ = rates(share, n, m, 1000, count_error=False)
            rows.append(
                {
                    "true share": share,
                    "reference rows": n,
                    "window rows": m,
                    "alpha": ALPHA,
                    "mean rate / alpha": float(found.mean() / ALPHA),
                    "95th percentile / alpha": float(np.quantile(found, 0.95) / ALPHA),
                    "95th percentile / alpha, error ignored": float(np.quantile(naive, 0.95) / ALPHA),
                    "share that alarms": needed,
                }
            )
            assert found.mean() <= ALPHA
            assert np.quantile(found, 0.95) <= 1.5 * ALPHA
    prove_table("fixed-reference-shares", rows)
