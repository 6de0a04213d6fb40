"""Count, missing values, mean, variance, least and greatest of one column of numbers, by merging parts.

Parts merge by Chan, Golub and LeVeque (1979): no difference of large sums of squares. Infinite values are counted
apart, so that one of them does not make the mean of a day infinite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.maths.arrays import AnyArray
from backstay.maths.sketches.means import check_version

VERSION = 1


@dataclass(frozen=True, slots=True)
class Moments:
    """`n` finite values with their `mean` and sum of squared distances from it; `missing` and `infinite` beside them.

    >>> all_ = Moments.of(np.array([1.0, 2.0, np.nan])).merge(Moments.of(np.array([3.0])))
    >>> all_.n, all_.mean, all_.variance, all_.missing_rate
    (3, 2.0, 1.0, 0.25)
    """

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0
    least: float = float("inf")
    greatest: float = float("-inf")
    missing: int = 0
    infinite: int = 0

    @staticmethod
    def of(values: AnyArray) -> Moments:
        """The moments of floats [n]; NaN is missing."""
        column = np.asarray(values, dtype=np.float64)
        finite = np.isfinite(column)
        known = column if finite.all() else column[finite]
        missing = 0 if len(known) == len(column) else int(np.count_nonzero(np.isnan(column)))
        infinite = len(column) - len(known) - missing
        if len(known) == 0:
            return Moments(missing=missing, infinite=infinite)
        mean = float(known.mean())
        away = known - mean
        return Moments(len(known), mean, float(away @ away), float(known.min()), float(known.max()), missing, infinite)

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets of values together."""
        n = self.n + other.n
        if self.n == 0 or other.n == 0:
            filled = self if self.n else other
            mean, squares = filled.mean, filled.squares
        else:
            apart = other.mean - self.mean
            mean = (self.n * self.mean + other.n * other.mean) / n
            squares = self.squares + other.squares + apart * apart * (self.n / n) * other.n
        return Moments(
            n,
            mean,
            squares,
            min(self.least, other.least),
            max(self.greatest, other.greatest),
            self.missing + other.missing,
            self.infinite + other.infinite,
        )

    @property
    def rows(self) -> int:
        return self.n + self.missing + self.infinite

    @property
    def variance(self) -> float:
        """Sample variance; 0 with fewer than two values."""
        return self.squares / (self.n - 1) if self.n > 1 else 0.0

    @property
    def missing_rate(self) -> float:
        """Share of rows without a value; 0 for no rows."""
        return self.missing / self.rows if self.rows else 0.0

    def to_json(self) -> dict[str, Any]:
        """JSON types only; the bounds of no values are null."""
        return {
            "version": VERSION,
            "n": self.n,
            "mean": self.mean,
            "squares": self.squares,
            "least": self.least if self.n else None,
            "greatest": self.greatest if self.n else None,
            "missing": self.missing,
            "infinite": self.infinite,
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Moments:
        check_version(state, VERSION, "moments")
        return Moments(
            n=int(state["n"]),
            mean=float(state["mean"]),
            squares=float(state["squares"]),
            least=float("inf") if state["least"] is None else float(state["least"]),
            greatest=float("-inf") if state["greatest"] is None else float(state["greatest"]),
            missing=int(state["missing"]),
            infinite=int(state["infinite"]),
        )
