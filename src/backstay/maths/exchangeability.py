"""Do live scores still look like draws from the same bag? A conformal test martingale with a growing bag.

Each new score (a distance to the reference, a model's uncertainty) is ranked among the reference's scores **and all
earlier live ones**; ties are broken by chance:

    p_t = (#{s_i > s_t} + U (#{s_i = s_t} + 1)) / (n_t + 1),   U uniform.

While scores are exchangeable these p are independent and uniform, whatever the law of the scores and however small the
reference, so a bet on them is a fair game: the simple jumper holds shares of its wealth on eps in {-1, -.5, 0, .5, 1},
moves 1% of them at each step, and multiplies each by 1 + 2 eps (p - .5). The chance that wealth ever reaches 1/alpha
is at most alpha (Ville). Sources: Vovk, Gammerman & Shafer 2005; Vovk et al. 2021 (simple jumper).

Trap: wealth that is laid once sinks by .0065 (its logarithm) a score while nothing changes, and after some thousands of
scores no change is found any more: lay it bit by bit (`staked`). Trap: a bag that is frozen at the reference makes all
p share its luck; with 200 rows a level of .01 became 12% in 20,000 steps. Trap: the bag learns the change and the bet
fades: read `peak`. Seasons are not exchangeable: compare like hours. It says *not exchangeable*, not *worse*.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, same_length, vector

BETS = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
JUMP = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class GrowingBag:
    """All scores so far in order of size, the shares of wealth on each bet, and log wealth now and at its peak.

    >>> rng = np.random.default_rng(1)
    >>> bag = GrowingBag.start(rng.normal(size=500))
    >>> quiet = bag.update(rng.normal(size=300), rng.random(300))
    >>> moved = bag.update(rng.normal(size=300) + 1.0, rng.random(300))
    >>> quiet.alarm(0.01), moved.alarm(0.01)
    (False, True)
    """

    scores: FloatArray
    shares: tuple[float, ...] = (0.2,) * len(BETS)
    steps: int = 0
    log_wealth: float = 0.0
    peak: float = 0.0

    @staticmethod
    def start(reference: FloatArray) -> GrowingBag:
        """A bag of reference scores [n]: of rows that neither the score nor the model was fitted on."""
        return GrowingBag(np.sort(vector(reference, "reference scores")))

    def staked(self, stake: float) -> GrowingBag:
        """The state with so much more wealth, on all bets alike: that wealth ever reaches A has a chance of at most the
        sum of what was laid over A, as the sum goes on as a fair game after it (Ville).

        >>> bag = GrowingBag.start(np.arange(9.0))
        >>> round(float(np.exp(bag.staked(0.5).log_wealth)), 6)
        1.5
        """
        whole = float(np.logaddexp(self.log_wealth, np.log(stake)))
        part = float(np.exp(np.log(stake) - whole))
        shares = tuple((1.0 - part) * share + part / len(BETS) for share in self.shares)
        return replace(self, shares=shares, log_wealth=whole)

    def update(self, scores: FloatArray, chance: FloatArray) -> GrowingBag:
        """The state after live scores [m], in order. `chance` [m] are uniform numbers that know nothing of them."""
        return self._advance(scores, chance)[0]

    def path(self, scores: FloatArray, chance: FloatArray) -> FloatArray:
        """Log wealth after each live score [m]."""
        return self._advance(scores, chance)[1]

    def alarm(self, alpha: float) -> bool:
        """Whether wealth has ever reached 1 / alpha."""
        return self.peak >= -float(np.log(alpha))

    def ranks(self, scores: FloatArray, chance: FloatArray) -> FloatArray:
        """p_t [m] of live scores in turn, each ranked among the bag and those before it."""
        live, luck = vector(scores, "live scores"), vector(chance, "uniform numbers")
        same_length(live, luck, "live scores and uniform numbers")
        if np.any((luck < 0.0) | (luck > 1.0)):
            raise BackstayError("uniform numbers outside 0 to 1", fix="draw them from a seeded generator")
        bag: list[float] = self.scores.tolist()
        found = np.empty(len(live))
        for t, score in enumerate(live.tolist()):
            low, high = bisect_left(bag, score), bisect_right(bag, score)
            found[t] = (len(bag) - high + luck[t] * (high - low + 1)) / (len(bag) + 1)
            insort(bag, score)
        return found

    def _advance(self, scores: FloatArray, chance: FloatArray) -> tuple[GrowingBag, FloatArray]:
        p = self.ranks(scores, chance)
        shares, wealth, path = np.asarray(self.shares), self.log_wealth, np.empty(len(p))
        for t, one in enumerate(p):
            shares = ((1.0 - JUMP) * shares + JUMP / len(BETS)) * (1.0 + 2.0 * BETS * (one - 0.5))
            gained = float(shares.sum())
            wealth += float(np.log(gained))
            shares = shares / gained
            path[t] = wealth
        state = replace(
            self,
            scores=np.sort(np.concatenate([self.scores, np.asarray(scores, dtype=np.float64)])),
            shares=tuple(map(float, shares)),
            steps=self.steps + len(p),
            log_wealth=wealth,
            peak=max(self.peak, float(path.max())),
        )
        return state, path

    def to_json(self) -> dict[str, Any]:
        return {
            "scores": self.scores.tolist(),
            "shares": list(self.shares),
            "steps": self.steps,
            "log_wealth": None if np.isinf(self.log_wealth) else self.log_wealth,
            "peak": self.peak,
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> GrowingBag:
        return GrowingBag(
            np.asarray(state["scores"], dtype=np.float64),
            tuple(float(share) for share in state["shares"]),
            int(state["steps"]),
            -np.inf if state["log_wealth"] is None else float(state["log_wealth"]),
            float(state["peak"]),
        )
