"""A confidence sequence for the mean of bounded values: right at every n at once, without a model of the values.

The predictable plug-in empirical-Bernstein sequence (PrPl-EB) of Waudby-Smith & Ramdas 2024: each value is weighted
by a bet lambda_i chosen from the values before it, and

    centre = sum(lambda x) / sum(lambda),  half-width = (log(2/alpha) + sum v psi(lambda)) / sum(lambda),
    v = 4 (x - earlier mean)^2,  psi(l) = (-log(1 - l) - l) / 4.

It adapts to the variance, so that rare errors give short intervals. For 0/1 values `intervals.bernoulli_sequence` is
shorter at small n. Wrong when the conditional mean is not what is asked for: labels that arrive selectively
(`betting.inverse_probability`), or a mean that moves (then `current` speaks of the weighted average so far).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, fraction, vector
from backstay.maths.intervals import Bounds

LARGEST_BET = 0.5


@dataclass(frozen=True, slots=True)
class MeanSequence:
    """State of one sequence at level 1 - `alpha` for values between `lowest` and `highest`.

    `low` and `high` are the intersection of all intervals so far: the tightest answer while the mean is constant.

    >>> state = MeanSequence.start(0.05).update(np.tile([0.0, 1.0], 1000))
    >>> state.n, round(state.low, 2), round(state.high, 2)
    (2000, 0.45, 0.55)
    """

    alpha: float
    lowest: float = 0.0
    highest: float = 1.0
    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    bets: float = 0.0
    weighted: float = 0.0
    price: float = 0.0
    low: float = 0.0
    high: float = 1.0

    @staticmethod
    def start(alpha: float = 0.05, lowest: float = 0.0, highest: float = 1.0) -> MeanSequence:
        """A sequence that misses the mean, at any time, with probability at most `alpha`."""
        if not (np.isfinite(lowest) and np.isfinite(highest) and lowest < highest):
            raise BackstayError(f"bounds of {lowest!r} and {highest!r}", fix="give two finite bounds, the lower first")
        fraction(alpha, "alpha")
        return MeanSequence(alpha, float(lowest), float(highest), low=float(lowest), high=float(highest))

    def update(self, x: FloatArray) -> MeanSequence:
        """The state after `x` [n], in order. A value outside the bounds is an error: clip it and say so."""
        return self._advance(x)[0]

    def path(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`low` and `high` [n] after each of `x` in turn."""
        _, low, high = self._advance(x)
        return self.lowest + low * self._span, self.lowest + high * self._span

    @property
    def current(self) -> Bounds:
        """The interval of this moment alone: for a mean that may have moved."""
        if self.n == 0:
            return Bounds(self.lowest, self.highest)
        centre, half = self.weighted / self.bets, (self._log + self.price) / self.bets
        return Bounds(
            self.lowest + max(0.0, centre - half) * self._span, self.lowest + min(1.0, centre + half) * self._span
        )

    @property
    def empty(self) -> bool:
        """The intervals so far exclude one another: the mean moved, or the `alpha` chance came true."""
        return self.low > self.high

    @property
    def _span(self) -> float:
        return self.highest - self.lowest

    @property
    def _log(self) -> float:
        return float(np.log(2.0 / self.alpha))

    def _advance(self, x: FloatArray) -> tuple[MeanSequence, FloatArray, FloatArray]:
        unit = (vector(x, "the values of a bounded mean") - self.lowest) / self._span
        if np.any((unit < 0.0) | (unit > 1.0)):
            raise BackstayError(
                f"values outside {self.lowest:g} to {self.highest:g}",
                fix="declare wider bounds before the first value, or clip to them and report how many were clipped",
            )
        times = self.n + np.arange(1.0, len(unit) + 1.0)
        totals = self.total + np.cumsum(unit)
        mean = (totals + 0.5) / (times + 1.0)
        before = np.concatenate([[(self.total + 0.5) / (self.n + 1.0)], mean[:-1]])
        squares = self.squares + np.cumsum((unit - mean) ** 2)
        earlier = np.concatenate([[self.squares], squares[:-1]])
        variance = (earlier + 0.25) / times
        bets = np.minimum(np.sqrt(2.0 * self._log / (variance * times * np.log1p(times))), LARGEST_BET)
        costs = (unit - before) ** 2 * (-np.log1p(-bets) - bets)
        sums = self.bets + np.cumsum(bets)
        weighted, price = self.weighted + np.cumsum(bets * unit), self.price + np.cumsum(costs)
        half = (self._log + price) / sums
        first_low, first_high = (self.low - self.lowest) / self._span, (self.high - self.lowest) / self._span
        low = np.maximum(np.maximum.accumulate(weighted / sums - half), first_low)
        high = np.minimum(np.minimum.accumulate(weighted / sums + half), first_high)
        state = MeanSequence(
            self.alpha,
            self.lowest,
            self.highest,
            n=self.n + len(unit),
            total=float(totals[-1]),
            squares=float(squares[-1]),
            bets=float(sums[-1]),
            weighted=float(weighted[-1]),
            price=float(price[-1]),
            low=self.lowest + float(low[-1]) * self._span,
            high=self.lowest + float(high[-1]) * self._span,
        )
        return state, low, high

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> MeanSequence:
        kinds = {name: float(value) for name, value in state.items() if name != "n"}
        return MeanSequence(n=int(state["n"]), **kinds)
