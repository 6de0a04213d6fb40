"""How far a row may lie and still be taken for a known one: the quantile of split-conformal prediction.

Distances of n rows that nothing was fitted on are sorted, and the limit is the ceil((n + 1)(1 - a))-th of them. The
distance of a further row of the same kind has the same chance of every place among the n + 1, so it is above the limit
with probability a at most, whatever the distribution and however few the rows. That is a share on average over rows and
over samples of n: on one sample the share varies, by a standard deviation of about sqrt(a (1 - a) / n). It holds for
rows that are exchangeable with the n: not for live rows that have moved, nor for groups that the n rows did not draw
from. Source: Vovk, Gammerman & Shafer 2005; Papadopoulos et al. 2002; for novelties Bates et al. 2023.
"""

from __future__ import annotations

import math

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray

# (n + 1)(1 - a) is a whole number more often than floats can tell.
_ROUNDING = 1e-9


def conformal_limit(distances: AnyArray, level: float) -> float:
    """The limit that a further row exceeds with probability `level` at most.

    >>> conformal_limit(np.arange(1.0, 20.0), 0.05), conformal_limit(np.arange(1.0, 20.0), 0.5)
    (19.0, 10.0)

    Raises:
        BackstayError: fewer rows than 1/level - 1, with which no finite limit keeps the level, or distances that are
            not finite.
    """
    if not 0.0 < level < 1.0:
        raise BackstayError(f"a level of {level:g}", fix="give a share of rows between 0 and 1")
    known = np.sort(np.asarray(distances, dtype=np.float64).reshape(-1))
    if not np.isfinite(known).all():
        raise BackstayError("distances hold NaN or infinite values", fix="impute or drop the rows first")
    place = math.ceil((len(known) + 1) * (1.0 - level) - _ROUNDING)
    if place > len(known):
        needed = math.ceil(1.0 / level - 1.0 - _ROUNDING)
        raise BackstayError(
            f"a share of {level:g} cannot be kept with {len(known)} rows to calibrate on", fix=f"give {needed} or more"
        )
    return float(known[place - 1])
