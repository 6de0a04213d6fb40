"""Two scores that rank the same rows: the difference of their areas under the ROC curve, with its error.

An area is a mean over rows of one kind of the share of rows of the other kind on the right side of them. These shares
tell how much each row moves the area, and their variance is that of the area: for rows that do not depend on each other
it is DeLong, DeLong & Clarke-Pearson 1988 (Biometrics 44:837). Groups of dependent rows make it cluster-robust, as
Obuchowski 1997. The error is a t interval with one degree of freedom less than there are rows, or groups, of the rarer
kind, which is what limits it where anomalies are few.
"""

from __future__ import annotations

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, BoolArray, FloatArray, fraction, same_length, vector
from backstay.maths.clusters import clusters
from backstay.maths.paired import PairedDifference, t_difference


def paired_areas(
    positive: BoolArray, a: FloatArray, b: FloatArray, groups: AnyArray | None = None, level: float = 0.95
) -> PairedDifference:
    """Area of `b` minus that of `a` over the same rows [n], of which the `positive` should have the higher scores.

    Raises BackstayError for fewer than two rows of either kind, or scores that are not finite.

    >>> kind = np.arange(40) % 2 == 0
    >>> d = paired_areas(kind, np.zeros(40), np.where(kind, 1.0, 0.0) + np.arange(40) % 3)
    >>> round(d.mean, 3), d.one_sided_low > 0
    (0.289, True)
    """
    first, second = vector(a, "scores of the first model"), vector(b, "scores of the second model")
    same_length(first, second, "the scores of the two models")
    same_length(first, np.asarray(positive), "scores and kinds of rows")
    fraction(level, "the level")
    least = int(min(positive.sum(), (~positive).sum()))
    if least < 2:
        raise BackstayError(f"{least} rows of one kind to rank among the others", fix="give two rows or more of each")
    moved = shares(positive, second) - shares(positive, first)
    grouping = clusters(groups, len(moved))
    if groups is not None:
        least = min(len(np.unique(grouping.codes[kind])) for kind in (positive, ~positive))
    return t_difference(moved, grouping, level, least - 1)


def shares(positive: BoolArray, scores: FloatArray) -> FloatArray:
    """A value a row [n] whose mean is the area under the ROC curve, and the variance of whose mean is the area's."""
    above, below = scores[positive], scores[~positive]
    lower, upper = np.sort(below), np.sort(above)
    beaten = (np.searchsorted(lower, above, "left") + np.searchsorted(lower, above, "right")) / (2.0 * len(below))
    beaten_by = 1.0 - (np.searchsorted(upper, below, "left") + np.searchsorted(upper, below, "right")) / (
        2.0 * len(above)
    )
    area = float(beaten.mean())
    found = np.full(len(scores), area)
    for kind, share in ((positive, beaten), (~positive, beaten_by)):
        rows = len(share)
        # Each kind has an error of its own, as of a mean of so many rows.
        found[kind] += (share - area) * (len(scores) / rows) * np.sqrt(rows / max(rows - 1, 1))
    return found
