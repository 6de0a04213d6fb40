"""Has a share of rows risen above what one fixed reference allows? The exact test that detectors of rare events share.

The null is "at most the upper confidence limit of the reference's share". A twentieth of references has a true share
above that limit (`REFERENCE_DELTA`), so for the others the false-alarm rate is at most alpha, whatever the window: the
promise for one fixed reference. Rows of one group count as one row, by the mean of its marks: sums of such means are
less spread than a binomial of the same mean, so that the test can only become more careful.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from backstay.maths.arrays import AnyArray, FloatArray
from backstay.maths.intervals import exact_tail, upper_limit

# A twentieth of references have a true share (of errors, of rows) above this bound: what the promise for one fixed
# reference allows.
REFERENCE_DELTA = 0.05


@dataclass(frozen=True, slots=True)
class Share:
    """Marked rows among `n` independent ones; a fraction of one may be marked where a group was.

    >>> Share(0.0, 100.0).allowed < 0.03, Share(0.0, 100.0).evidence(Share(9.0, 100.0), 0.01) > 1
    (True, True)
    """

    marked: float
    n: float

    @staticmethod
    def of(marks: AnyArray, codes: AnyArray | None = None) -> Share:
        """From one mark a row [n], true or false, and the rows' groups."""
        if codes is None:
            return Share(float(np.count_nonzero(marks)), float(len(marks)))
        means = group_means(np.asarray(marks, dtype=np.float64), codes)
        return Share(float(means.sum()), float(len(means)))

    @property
    def value(self) -> float:
        return self.marked / self.n

    @property
    def allowed(self) -> float:
        """The largest true share that the reference leaves possible; the null."""
        return upper_limit(self.marked, self.n, REFERENCE_DELTA)

    def evidence(self, window: Share, alpha: float) -> float:
        """The window's marked rows over those that alarm at level `alpha`."""
        return window.marked / self.needed(window.n, alpha)

    def needed(self, n: float, alpha: float) -> float:
        """The smallest number of marked rows, of `n`, that alarms at level `alpha`; above n if none does."""
        return _needed(n, self.allowed, alpha)

    def to_json(self) -> dict[str, float]:
        return {"marked": self.marked, "n": self.n}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Share:
        return Share(float(state["marked"]), float(state["n"]))


def group_means(values: FloatArray, codes: AnyArray) -> FloatArray:
    """The mean of each group's values, in the order of the codes."""
    _, places = np.unique(codes, return_inverse=True)
    sizes = np.bincount(places.reshape(-1))
    return np.asarray(np.bincount(places.reshape(-1), weights=values) / sizes)


@lru_cache(maxsize=4096)
def _needed(n: float, share: float, alpha: float) -> float:
    """The smallest number of marked rows, of `n`, whose chance under `share` is at most alpha; above n if none is."""
    if exact_tail(n, n, share) > alpha:
        return n + 1.0
    low, high = 0.0, n
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if exact_tail(middle, n, share) > alpha else (low, middle)
    return high
