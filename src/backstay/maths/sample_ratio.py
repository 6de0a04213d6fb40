"""Were rows dealt to the arms in the shares that were meant? An e-value that may be looked at after every row.

Under the alternative the true shares follow a Dirichlet around the planned ones; the e-value is the likelihood of the
counts under that mixture over their likelihood under the plan (Lindon & Malek 2022, NeurIPS). It depends on the counts
alone, so late rows and batches do no harm. Its reciprocal is an anytime-valid p-value: while the plan is kept, the
chance that it ever falls to alpha is at most alpha. A mismatch says that the comparison is broken (lost rows, bots, a
redirect that fails), whatever the difference between the arms looks like.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, xlogy

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, vector

CONCENTRATION = 100.0


def sample_ratio_e_value(counts: FloatArray, planned: FloatArray, concentration: float = CONCENTRATION) -> float:
    """Evidence that the arms' shares are not the planned ones.

    Args:
        counts: rows by arm so far, 0 or more.
        planned: shares by arm, above 0; they are brought to a sum of 1.
        concentration: how near the plan the alternative is thought to lie, in rows. Larger finds small mismatches
            sooner once there are many rows, and large ones later.

    >>> sample_ratio_e_value(np.array([0.0, 0.0]), np.array([0.5, 0.5]))
    1.0
    >>> sample_ratio_e_value(np.array([5200.0, 4800.0]), np.array([0.5, 0.5])) > 20
    True
    """
    n, shares = vector(counts, "the counts"), vector(planned, "the planned shares")
    if len(n) != len(shares) or len(n) < 2 or np.any(n < 0) or np.any(shares <= 0) or not concentration > 0:
        raise BackstayError(
            "counts and planned shares that are not of the same two arms or more, or are negative",
            fix="give rows by arm (0 or more), the share of each arm (above 0) and a concentration above 0",
        )
    plan = shares / shares.sum()
    prior, total = concentration * plan, float(n.sum())
    log_e = (
        float(gammaln(concentration) - gammaln(concentration + total))
        + float(np.sum(gammaln(prior + n) - gammaln(prior)))
        - float(np.sum(xlogy(n, plan)))
    )
    return float(np.exp(min(log_e, 700.0)))
