"""Area under the ROC curve with a lower bound over test rows and seeds together, for bench/learn_text.py."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata

from learn_figures import Figure

Floats = npt.NDArray[np.float64]


def placements(inside: Floats, outside: Floats) -> tuple[Floats, Floats]:
    """For each row out of scope the share of rows in scope with a lower score, and for each one in scope the share of
    those out of scope with a higher one; ties count half. The mean of either is the area (DeLong et al. 1988)."""
    both = rankdata(np.concatenate([inside, outside]))
    own_in, own_out = rankdata(inside), rankdata(outside)
    above = (both[len(inside) :] - own_out) / len(inside)
    below = 1.0 - (both[: len(inside)] - own_in) / len(outside)
    return above, below


def area(inside: list[Floats], outside: list[Floats]) -> Figure:
    """Of scores of each seed on the same rows; a higher one says out of scope. One-sided, 95%, normal."""
    found = [placements(a, b) for a, b in zip(inside, outside, strict=True)]
    above, below = (np.stack([pair[side] for pair in found]) for side in (0, 1))
    by_row = sum(float(v.mean(axis=0).var(ddof=1)) / v.shape[1] for v in (above, below))
    each, seeds = above.mean(axis=1), len(found)
    between = float(each.std(ddof=1)) if seeds > 1 else 0.0
    mean = float(each.mean())
    low = mean - float(norm.ppf(0.95)) * (by_row + between**2 / seeds) ** 0.5
    return Figure(mean, low, between, seeds)
