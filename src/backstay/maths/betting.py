"""Bets against "the mean is at most m0": evidence that stays valid however often it is looked at.

Wealth W_t = mean over k of prod_i (1 + lambda_k (x_i - m0)), for eight fixed lambda_k. While
E[x_t | past] <= m0 the chance that W ever reaches 1/alpha is at most alpha (Ville), whatever the dependence.
Sources: Waudby-Smith & Ramdas 2024 (betting, aGRAPA); figures in docs/statistics/errors.md. What it does not survive:
a mean that is at most m0 only on average over regimes (bet on block means, see `detector`), and labels that
arrive selectively (see `inverse_probability`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import logsumexp

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, fraction, same_length, vector
from backstay.maths.intervals import upper_limit

LAMBDAS = 8


def geometric_bets(m0: float) -> FloatArray:
    """Eight bets, geometric from .1 (or less, when m0 is large) to .45/m0: wealth never reaches zero."""
    top = 0.45 / fraction(m0, "the null mean m0")
    return np.geomspace(min(0.1, top / 4), top, LAMBDAS)


def log_bets(x: FloatArray, m0: float) -> FloatArray:
    """log(1 + lambda_k (x_t - m0)): [n, 8]. Values below 0 would break the guarantee and are refused."""
    outcomes = np.asarray(x, dtype=np.float64)
    if outcomes.ndim != 1 or not np.all(np.isfinite(outcomes)) or np.any(outcomes < 0.0):
        raise BackstayError(
            "the stream of errors holds negative or missing values",
            fix="give losses of at least 0 (0 for right, 1 for wrong); clip to a declared bound",
        )
    return np.log1p(geometric_bets(m0)[None, :] * (outcomes[:, None] - m0))


@dataclass(frozen=True, slots=True)
class EProcess:
    """Mixture betting e-process against "mean <= m0".

    `peak` is the largest log wealth ever seen: it has reached log(1/alpha) with probability at most alpha under
    the null. For e-BH across slices use `e_value`, the current wealth, never the peak.

    >>> e = EProcess.start(0.1).update(np.ones(20))
    >>> e.e_value > 1000, e.n
    (True, 20)
    """

    m0: float
    log_wealths: tuple[float, ...]
    n: int = 0
    peak: float = 0.0

    @staticmethod
    def start(m0: float) -> EProcess:
        """A bet with wealth 1 against a mean of at most m0, 0 < m0 < 1."""
        return EProcess(fraction(m0, "the null mean m0"), (0.0,) * LAMBDAS)

    def path(self, x: FloatArray) -> FloatArray:
        """Log wealth after each of `x` [n] in turn: [n]."""
        wealths = np.asarray(self.log_wealths) + np.cumsum(log_bets(x, self.m0), axis=0)
        return np.asarray(logsumexp(wealths, axis=1) - np.log(LAMBDAS))

    def update(self, x: FloatArray) -> EProcess:
        """The state after betting on `x` [n], in order."""
        steps = log_bets(x, self.m0)
        if len(steps) == 0:
            return self
        wealths = np.asarray(self.log_wealths) + steps.sum(axis=0)
        peak = max(self.peak, float(self.path(x).max()))
        return replace(self, log_wealths=tuple(map(float, wealths)), n=self.n + len(steps), peak=peak)

    @property
    def log_wealth(self) -> float:
        return float(logsumexp(self.log_wealths) - np.log(LAMBDAS))

    @property
    def e_value(self) -> float:
        """Wealth itself, capped where a float ends."""
        return float(np.exp(min(self.log_wealth, 700.0)))

    def to_json(self) -> dict[str, Any]:
        return {"m0": self.m0, "log_wealths": list(self.log_wealths), "n": self.n, "peak": self.peak}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> EProcess:
        wealths = tuple(float(w) for w in state["log_wealths"])
        if len(wealths) != LAMBDAS:
            raise BackstayError(f"an e-process with {len(wealths)} bets", fix=f"give the state of {LAMBDAS} bets")
        return EProcess(float(state["m0"]), wealths, int(state["n"]), float(state["peak"]))


@dataclass(frozen=True, slots=True)
class Agrapa:
    """Adaptive bet: lambda from the mean and variance of what came before (aGRAPA), never of what is bet on.

    Quicker than the mixture when the shift is constant; same guarantee.
    """

    m0: float
    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    log_wealth: float = 0.0
    peak: float = 0.0

    def bets(self, x: FloatArray) -> FloatArray:
        """The predictable bets [n]: each uses only earlier values, with one pseudo-value of .5, variance .25."""
        outcomes = vector(x, "the stream of errors")
        before = np.concatenate([[0.0], np.cumsum(outcomes)[:-1]]) + self.total
        squares = np.concatenate([[0.0], np.cumsum(outcomes**2)[:-1]]) + self.squares
        seen = self.n + np.arange(len(outcomes)) + 1.0
        mean = (before + 0.5) / seen
        spread = np.maximum((squares + 0.5) / seen - mean**2, 1e-12)
        edge = mean - self.m0
        return np.asarray(np.clip(edge / (spread + edge**2), 0.0, 0.5 / self.m0))

    def update(self, x: FloatArray) -> Agrapa:
        """The state after betting on `x` [n] of losses >= 0, in order."""
        log_bets(x, self.m0)  # refuses what the guarantee does not cover
        outcomes = vector(x, "the stream of errors")
        path = self.log_wealth + np.cumsum(np.log1p(self.bets(outcomes) * (outcomes - self.m0)))
        return Agrapa(
            m0=self.m0,
            n=self.n + len(outcomes),
            total=self.total + float(outcomes.sum()),
            squares=self.squares + float(np.sum(outcomes**2)),
            log_wealth=float(path[-1]),
            peak=max(self.peak, float(path.max())),
        )


def null_error(errors: float, n: float, delta: float = 0.01, tolerance: float = 0.0) -> float:
    """The m0 to bet against: exact upper bound of the reference error at `delta`, plus a tolerated worsening.

    With the point estimate instead, one fixed reference of 500 labels gives 14% false alarms where 5% were
    asked (docs/statistics/errors.md). Total false-alarm probability is at most `delta` plus that of the bet
    (Podkopaev & Ramdas 2022). Capped below 1.

    >>> round(null_error(10, 500, 0.01, 0.02), 4)
    0.0599
    """
    if tolerance < 0.0:
        raise BackstayError(f"the tolerance is {tolerance!r}", fix="give a tolerated worsening of 0 or more")
    return min(upper_limit(errors, n, delta) + tolerance, 0.999)


def inverse_probability(x: FloatArray, labelled: FloatArray, probability: FloatArray) -> FloatArray:
    """X * A / pi: losses of selectively labelled rows, whose mean is that of all rows.

    Args: `x` [n] losses (anything where not labelled), `labelled` [n] 0/1, `probability` [n] the chance with
    which each row was chosen, logged when it was chosen. Raises BackstayError where it is unknown or not above 0.
    """
    chosen, pi = vector(labelled, "the labelled marks"), np.asarray(probability, dtype=np.float64)
    same_length(chosen, pi, "the labelled marks and the probabilities")
    same_length(chosen, np.asarray(x), "the labelled marks and the losses")
    bad = int(np.sum(~np.isfinite(pi) | (pi <= 0.0) | (pi > 1.0)))
    if bad:
        raise BackstayError(
            f"{bad} rows have no known probability of having been labelled",
            fix="log the probability when rows are chosen, or leave these rows out of the performance monitor",
        )
    losses = np.where(chosen > 0, np.asarray(x, dtype=np.float64), 0.0)
    return losses * chosen / pi
