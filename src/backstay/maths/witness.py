"""Two samples compared pair by pair, with evidence that may be looked at after every pair: a betting witness.

Each live row y is paired with a reference row x that was not used before. A direction learnt from earlier pairs says
which way live rows lie; the bet is that the next pair lies so too:

    v = <mean of past differences, phi(y) - phi(x)>,   z = tanh(v / typical |v| so far),   wealth *= 1 + lam z,

lam from past z by the online Newton step, within [0, .5]. If x and y have one law, swapping them changes the sign of z
and nothing else, so E[z | past] = 0 exactly: for any law, any features, any sample size, and without a threshold that
counts the reference's error. The chance that wealth ever reaches 1/alpha is at most alpha. Sources: Shekhar & Ramdas
2024; Podkopaev & Ramdas 2023 (predictive form).

Trap: a reference row that is used twice is no independent partner; when the rows are used up, stop. Trap: pairs must be
drawn without a look at what they hold. Weak against a change of few rows: a new cluster of 10% was found in 200 pairs
in one case of seven. One reference row for each live row is a high price: for windows, `meanshift` asks for less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, matrix

MOST_STAKED = 0.5
# The online Newton step for log wealth with stakes up to a half (Cutkosky & Orabona 2018).
STEP = 2.0 / (2.0 - np.log(3.0))


@dataclass(frozen=True, slots=True, eq=False)
class Witness:
    """Sum of past differences [d], pairs, sum of |v|, stake, curvature, and log wealth now and at its peak.

    >>> rng = np.random.default_rng(2)
    >>> same = Witness.start(8).update(rng.normal(size=(200, 8)), rng.normal(size=(200, 8)))
    >>> moved = Witness.start(8).update(rng.normal(size=(200, 8)), rng.normal(size=(200, 8)) + 0.5)
    >>> same.alarm(0.01), moved.alarm(0.01)
    (False, True)
    """

    total: FloatArray
    pairs: int = 0
    typical: float = 0.0
    stake: float = 0.0
    curvature: float = 1.0
    log_wealth: float = 0.0
    peak: float = 0.0

    @staticmethod
    def start(dimension: int) -> Witness:
        """A witness that has seen nothing, for features of this many numbers."""
        if dimension < 1:
            raise BackstayError(f"features of {dimension} numbers", fix="give at least one")
        return Witness(np.zeros(dimension))

    def update(self, reference: FloatArray, live: FloatArray) -> Witness:
        """The state after pairs of unused reference rows [m, d] and live rows [m, d], in order."""
        known, now = matrix(reference, "reference rows"), matrix(live, "live rows")
        if known.shape != now.shape or known.shape[1] != len(self.total):
            raise BackstayError(
                f"pairs of shapes {known.shape} and {now.shape} for {len(self.total)} features",
                fix="give one unused reference row for each live row",
            )
        total, pairs, typical, stake = self.total.copy(), self.pairs, self.typical, self.stake
        curvature, wealth, peak = self.curvature, self.log_wealth, self.peak
        for difference in now - known:
            v = float(total @ difference) / max(pairs, 1)
            z = float(np.tanh(v * max(pairs - 1, 0) / typical)) if typical > 0.0 else 0.0
            wealth += float(np.log1p(stake * z))
            slope = z / (1.0 + stake * z)
            curvature += slope**2
            stake = float(np.clip(stake + STEP * slope / curvature, 0.0, MOST_STAKED))
            peak = max(peak, wealth)
            total += difference
            typical += abs(v)
            pairs += 1
        return replace(
            self,
            total=total,
            pairs=pairs,
            typical=typical,
            stake=stake,
            curvature=curvature,
            log_wealth=wealth,
            peak=peak,
        )

    def alarm(self, alpha: float) -> bool:
        """Whether wealth has ever reached 1 / alpha."""
        return self.peak >= -float(np.log(alpha))

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__ if name != "total"} | {
            "total": self.total.tolist()
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Witness:
        numbers = {name: float(value) for name, value in state.items() if name not in ("total", "pairs")}
        return Witness(np.asarray(state["total"], dtype=np.float64), int(state["pairs"]), **numbers)
