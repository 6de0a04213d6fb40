"""Which of many cells hold another share of the rows than they did? Exact tests of counts, and how far off each is.

Given the cells, and how many of all rows lie in one, the window's number among these is hypergeometric where nothing
has changed (Fisher's exact test). Two-sided: twice the smaller tail. Of the cells that Benjamini and Hochberg's
procedure at level q names, at most q are named wrongly on average; intervals of those that are named are widened to
level 1 - q (named / cells), so that at most q of these are wrong on average, although the largest changes were picked
(Benjamini & Yekutieli 2005). A cell is named exactly where its interval leaves out "as before".

Rows must be independent, and the cells must come of other rows than are counted: k-means lays its cells where the rows
happen to lie, so that others lie elsewhere with nothing having changed. Counts of cells are dependent, as one row lies
in one cell; the false share is proved by simulation (docs/proofs/cells.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import BoolArray, FloatArray, IntArray, fraction
from backstay.maths.intervals import Bounds

# Limits of odds ratios lie within e to this, for any number of rows that fits into memory.
LARGEST = 60.0


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in a cell and in all, of before and of now."""

    before: int
    rows_before: int
    now: int
    rows_now: int

    def __post_init__(self) -> None:
        if not (0 <= self.before <= self.rows_before > 0 and 0 <= self.now <= self.rows_now > 0):
            raise BackstayError(
                f"counts that cannot be: {self}", fix="give rows in the cell of at least one row in all"
            )

    @property
    def p_value(self) -> float:
        """Of "the same share before and now", two-sided and exact.

        >>> round(Table(10, 100, 10, 100).p_value, 3), Table(10, 100, 40, 100).p_value < 1e-5
        (1.0, True)
        """
        below, above = self._tails(0.0)
        return min(1.0, 2.0 * min(below, above))

    def ratio(self, level: float = 0.95) -> Bounds:
        """Limits of the share now over the share before: from 0, or to infinity, where the counts leave that possible.

        Exact limits of the odds ratio (Fisher's noncentral hypergeometric law), each told as the ratio of the shares
        that it lets expect in a table with as many rows in the cell. They leave out 1 exactly where `p_value` is less
        than 1 - level.

        >>> low, high = Table(10, 100, 40, 100).ratio()
        >>> round(low, 1), round(high, 1)
        (2.1, 8.5)
        """
        tail = (1.0 - fraction(level, "the level")) / 2.0
        counts = self._counts
        low, high = Bounds(0.0, np.inf)
        if self.now > counts[0]:
            low = self._ratio_at(_root(lambda log_odds: self._tails(log_odds)[1] - tail))
        if self.now < counts[-1]:
            high = self._ratio_at(_root(lambda log_odds: self._tails(log_odds)[0] - tail))
        return Bounds(low, high)

    def _ratio_at(self, log_odds: float) -> float:
        now = float(self._chances(log_odds) @ self._counts)
        before = self.before + self.now - now
        return np.inf if before <= 0.0 else now / self.rows_now * self.rows_before / before

    def _tails(self, log_odds: float) -> tuple[float, float]:
        """Chances of as few rows now or fewer, and of as many or more, where the odds are multiplied by this."""
        chances, at = self._chances(log_odds), self.now - int(self._counts[0])
        return float(chances[: at + 1].sum()), float(chances[at:].sum())

    @property
    def _counts(self) -> FloatArray:
        """The numbers of rows now that there can be with as many rows in the cell."""
        inside = self.before + self.now
        return np.arange(max(0, inside - self.rows_before), min(inside, self.rows_now) + 1, dtype=np.float64)

    def _chances(self, log_odds: float) -> FloatArray:
        """The chance of each of these numbers."""
        counts, inside = self._counts, self.before + self.now
        logs = counts * log_odds - (
            gammaln(counts + 1)
            + gammaln(self.rows_now - counts + 1)
            + gammaln(inside - counts + 1)
            + gammaln(self.rows_before - inside + counts + 1)
        )
        chances = np.exp(logs - logs.max())
        return np.asarray(chances / chances.sum())


def tables(before: IntArray, now: IntArray) -> tuple[Table, ...]:
    """One table a cell from the counts of all cells [K]."""
    totals = int(before.sum()), int(now.sum())
    return tuple(Table(b, totals[0], a, totals[1]) for b, a in zip(before.tolist(), now.tolist(), strict=True))


def benjamini_hochberg(p_values: FloatArray, level: float) -> BoolArray:
    """Which of these nulls to reject [k]: k* = max{k : the k-th smallest p <= level k / K} of them, the smallest.

    The false discovery rate is at most `level` for independent p-values and some dependent ones (Benjamini & Hochberg
    1995).

    >>> benjamini_hochberg(np.array([0.04, 0.9, 0.01, 0.06]), 0.1).tolist()
    [True, False, True, True]
    """
    order = np.argsort(p_values, kind="stable")
    allowed = fraction(level, "the level") * np.arange(1, len(p_values) + 1) / max(len(p_values), 1)
    passing = np.flatnonzero(p_values[order] <= allowed)
    rejected = np.zeros(len(p_values), dtype=np.bool_)
    if len(passing):
        rejected[order[: passing[-1] + 1]] = True
    return rejected


def _root(excess: Callable[[float], float]) -> float:
    """Where a monotone function of the log odds is nought."""
    return float(brentq(excess, -LARGEST, LARGEST, xtol=1e-6))
