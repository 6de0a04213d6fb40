"""Two arms compared at any time: the asymptotic confidence sequence for a difference of means.

With t rows an arm, sd^2 = var A + var B and r^2 = u / t*,

    diff +- sd sqrt(2 (t r^2 + 1) / (t^2 r^2) * log(sqrt(t r^2 + 1) / alpha)),   u = -W_{-1}(-alpha^2 / e) - 1,

tightest at t = t* (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2021). Arms of unequal size enter by their harmonic
mean. *Asymptotic*: nothing is said before `LEAST` rows an arm. Heavy tails need values clipped at limits that were
fixed on earlier data (`winsor_limits`): the claim is then about clipped values. Rows of one person, or in both arms,
must first become one value a person.

Outcomes that come late, of units that enter at different times, are not covered by the joint sequence, because the
error of the difference is then no martingale (Lindon & Kallus 2026): `separate` gives each arm its own sequence at
alpha/2, over matured units in order of entry, and adds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.special import lambertw

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, fraction, vector
from backstay.maths.intervals import Bounds
from backstay.maths.sketches.moments import Moments

LEAST = 200
EVERYTHING = Bounds(-np.inf, np.inf)


@dataclass(frozen=True, slots=True)
class MeanDifference:
    """State of a comparison: `a` and `b` are the moments of the arms, the difference is mean(b) - mean(a).

    `tightest_at` is t*, the rows an arm at which the interval is wanted shortest (the planned size).

    >>> rng = np.random.default_rng(0)
    >>> state = MeanDifference.start(2000).update(rng.random(2000), rng.random(2000) + 0.1)
    >>> state.bounds().low > 0.0
    True
    """

    alpha: float
    tightest_at: float
    a: Moments = field(default_factory=Moments)
    b: Moments = field(default_factory=Moments)

    @staticmethod
    def start(tightest_at: float, alpha: float = 0.05) -> MeanDifference:
        """A comparison that is wrong about the difference, at any time, with probability about `alpha` at most."""
        fraction(alpha, "alpha")
        if not (np.isfinite(tightest_at) and tightest_at >= 1):
            raise BackstayError(f"a planned size of {tightest_at!r} rows", fix="give 1 row an arm or more")
        return MeanDifference(alpha, float(tightest_at))

    def update(self, a: FloatArray | None = None, b: FloatArray | None = None) -> MeanDifference:
        """The state with new outcomes of either arm."""
        return replace(self, a=_more(self.a, a), b=_more(self.b, b))

    @property
    def difference(self) -> float:
        return self.b.mean - self.a.mean

    def bounds(self, least: int = LEAST) -> Bounds:
        """The interval now; everything before `least` rows in both arms."""
        if min(self.a.n, self.b.n) < max(least, 2):
            return EVERYTHING
        rows = 2.0 / (1.0 / self.a.n + 1.0 / self.b.n)
        error = np.sqrt(self.a.variance / self.a.n + self.b.variance / self.b.n)
        half = float(error) * float(boundary(rows, self.tightest_at, self.alpha))
        return Bounds(self.difference - half, self.difference + half)

    def separate(self, least: int = LEAST) -> Bounds:
        """The interval from one sequence an arm at alpha/2 each: for staggered entry and delayed outcomes."""
        if min(self.a.n, self.b.n) < max(least, 2):
            return EVERYTHING
        halves = [
            float(np.sqrt(arm.variance / arm.n)) * float(boundary(arm.n, self.tightest_at, self.alpha / 2.0))
            for arm in (self.a, self.b)
        ]
        return Bounds(self.difference - sum(halves), self.difference + sum(halves))

    def to_json(self) -> dict[str, Any]:
        arms = {"a": self.a.to_json(), "b": self.b.to_json()}
        return {"alpha": self.alpha, "tightest_at": self.tightest_at, **arms}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> MeanDifference:
        arms = [Moments.from_json(state[name]) for name in ("a", "b")]
        return MeanDifference(float(state["alpha"]), float(state["tightest_at"]), *arms)


def _more(arm: Moments, outcomes: FloatArray | None) -> Moments:
    return arm if outcomes is None else arm.merge(Moments.of(vector(outcomes, "outcomes")))


def boundary(rows: FloatArray | float, tightest_at: float, alpha: float) -> FloatArray:
    """Half-width of the sequence in standard errors at `rows` rows an arm.

    >>> [round(float(boundary(n, 1000, 0.05)), 2) for n in (200, 1000, 5000)]
    [3.35, 3.04, 3.16]
    """
    level = fraction(alpha, "alpha")
    best = -float(np.real(lambertw(-(level**2) / np.e, -1))) - 1.0
    u = np.asarray(rows, dtype=np.float64) * best / tightest_at
    return np.asarray(np.sqrt(2.0 * (u + 1.0) / u * np.log(np.sqrt(u + 1.0) / level)))


class Winsor(NamedTuple):
    """Limits for outcomes, fixed before the comparison starts."""

    low: float
    high: float

    def clip(self, values: FloatArray) -> tuple[FloatArray, float]:
        """`values` [n] within the limits, and the share that was clipped (report it)."""
        given = vector(values, "outcomes")
        return np.clip(given, self.low, self.high), float(np.mean((given < self.low) | (given > self.high)))


def winsor_limits(earlier: FloatArray, share: float = 0.01) -> Winsor:
    """Limits beyond which `share` of `earlier` outcomes [n] lie on each side. Never from the compared rows."""
    values = vector(earlier, "earlier outcomes")
    if not 0.0 <= share < 0.5:
        raise BackstayError(f"a winsorised share of {share!r}", fix="give a share from 0 up to .5")
    return Winsor(float(np.quantile(values, share)), float(np.quantile(values, 1.0 - share)))
