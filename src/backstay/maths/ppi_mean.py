"""A mean loss from a few labels and many predictions of it: PPI++ of a number of at least 0, such as an absolute error.

theta = mean(Y - lam f, labelled) + lam mean(f, unlabelled), lam tuned and at most 1 (Angelopoulos, Duchi & Zrnic 2023).
The interval is Student's on the logarithm of the mean: losses lean to the right, and a symmetric interval then misses
the mean mostly from below. Groups of dependent rows enlarge the variance of the labelled part.

`loss_sequence` holds at every look, of losses cut at a declared bound: without one no interval of the kind can be right
at every look, for a loss that is rare and huge may be among those to come. How many were cut is told; what lies beyond
the bound counts as the bound.

Trap: a mean of few losses of which one in a thousand is a thousand times the others is known by nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, FloatArray, fraction, same_length, vector
from backstay.maths.clusters import clusters
from backstay.maths.intervals import Bounds
from backstay.maths.ppi_ratio import design_effect
from backstay.maths.ppi_sequence import ppi_sequence

LEAST_TO_TRUST = 20
MOST_PULL = 0.5


@dataclass(frozen=True, slots=True)
class PpiMean:
    """A mean in [`low`, `high`] by `n` labels with trust `lam` in predictions."""

    value: float
    low: float
    high: float
    lam: float
    n: int


def ppi_mean(
    losses: FloatArray,
    foreseen: FloatArray | None,
    pool: FloatArray | None,
    groups: AnyArray | None = None,
    level: float = 0.95,
) -> PpiMean:
    """The mean loss of the rows that `pool` [N] stands for; of the labelled ones alone without predictions.

    Args: `losses` [n] of rows drawn at random from the same traffic, at least 0; `foreseen` [n] predictions of them,
    fixed before they were known. With fewer than 20 labels predictions are not trusted.
    """
    y = vector(losses, "the losses")
    fraction(level, "the level")
    independent = clusters(groups, len(y)).count
    if np.any(y < 0.0) or independent < 2:
        raise BackstayError(
            f"{independent} independent losses, or some below 0", fix="give two rows (or groups) or more, losses from 0"
        )
    lam, rectified, far, outside, pull = 0.0, y, 0.0, 0.0, np.zeros(len(y))
    if foreseen is not None and pool is not None and len(pool) > 1 and len(y) >= LEAST_TO_TRUST:
        f, others = vector(foreseen, "predicted losses, labelled"), vector(pool, "predicted losses, unlabelled")
        same_length(y, f, "losses and predictions of them")
        lam, pull = _trust(y, f, others)
        rectified, far = y - lam * f, lam * float(others.mean())
        outside = lam**2 * float(np.var(others)) / len(others)
    value = float(rectified.mean()) + far
    if value <= 0.0:
        # Predictions that are far too high by luck: the labels alone cannot be below 0.
        lam, rectified, outside, pull, value = 0.0, y, 0.0, np.zeros(len(y)), float(y.mean())
    # Each row as if the trust had been tuned without it (HC3: MacKinnon & White 1985): few large losses tune it.
    errors = (rectified - rectified.mean()) / (1.0 - pull)
    inside = float(np.sum(errors**2)) / (len(y) * (len(y) - 1)) * design_effect(rectified, groups, level)
    t = float(stdtrit(independent - 1, 0.5 + level / 2.0))
    half = t * float(np.sqrt(inside + outside))
    if value <= 0.0:
        return PpiMean(0.0, 0.0, half, 0.0, len(y))
    return PpiMean(value, value * float(np.exp(-half / value)), value * float(np.exp(half / value)), lam, len(y))


def loss_sequence(
    losses: FloatArray, foreseen: FloatArray, pool: FloatArray, bound: float, alpha: float = 0.05
) -> tuple[Bounds, float]:
    """Limits of the mean of losses cut at `bound` that hold after every label at once, and the share that was cut.

    Args: as of `ppi_mean`, the labelled in the order in which they came; `pool` is all of the traffic asked about.
    """
    if not bound > 0.0:
        raise BackstayError(f"a bound of {bound!r}", fix="declare a largest loss above 0")
    y = vector(losses, "the losses")
    low, high = ppi_sequence(
        np.minimum(y / bound, 1.0),
        np.clip(np.asarray(foreseen) / bound, 0.0, 1.0),
        np.clip(np.asarray(pool) / bound, 0.0, 1.0),
        alpha,
        whole=True,
    ).last
    return Bounds(low * bound, high * bound), float(np.mean(y > bound))


def _trust(y: FloatArray, f: FloatArray, pool: FloatArray) -> tuple[float, FloatArray]:
    """The trust that makes the variance least, 0 to 1, and the part that each label has in its own prediction [n]."""
    spread = float(np.var(np.concatenate([f, pool]), ddof=1))
    if spread <= 1e-12 * max(float(np.mean(y)) ** 2, 1e-300):
        return 0.0, np.zeros(len(y))
    scale = (1.0 + len(y) / len(pool)) * spread
    slope = float(np.cov(y, f, ddof=1)[0, 1]) / scale
    if not 0.0 < slope < 1.0:
        return float(np.clip(slope, 0.0, 1.0)), np.zeros(len(y))
    pull = (f - f.mean()) ** 2 / (scale * (len(y) - 1))
    return slope, np.minimum(pull, MOST_PULL)
