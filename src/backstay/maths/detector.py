"""A change detector on labelled errors: the Shiryaev-Roberts e-detector (Shin, Ramdas & Rinaldo 2023).

R_t = (R_{t-1} + 1) * e_t for each of eight bets, and their mean is compared with A. While the mean error is
at most m0 the average run length to a false alarm is at least A steps, that is at most 1/A alarms a step.
A step is one bet: one row, or the mean of one block of rows. With regimes inside the stream (good and bad
days) bet on block means plus a tolerance in m0: a prototype raised 51% false alarms on raw rows with regimes
of 200, and none on means of 200 (docs/statistics/errors.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import logsumexp

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, fraction
from backstay.maths.betting import LAMBDAS, log_bets

CHUNK = 512  # a bad stream alarms often, and each alarm throws away what was computed beyond it


@dataclass(frozen=True, slots=True)
class ErrorDetector:
    """State of one e-detector: log R by bet, the unfinished block, rows and steps seen, alarms raised.

    Starts afresh after each alarm. `evidence` is R / A, 1 at the alarm; `highest` the largest since the last
    alarm or start.

    >>> detector, alarms = ErrorDetector.start(0.1, 1000.0).update(np.ones(30))
    >>> alarms[0] < 10
    True
    """

    m0: float
    threshold: float
    block: int = 1
    log_r: tuple[float, ...] = (-np.inf,) * LAMBDAS
    pending: tuple[float, ...] = ()
    rows: int = 0
    steps: int = 0
    alarms: int = 0
    highest: float = 0.0

    @staticmethod
    def start(m0: float, threshold: float, block: int = 1) -> ErrorDetector:
        """A detector of "mean error above m0" that alarms when its evidence R reaches `threshold` (>= 1)."""
        if threshold < 1.0 or block < 1:
            raise BackstayError(
                f"a detector with threshold {threshold!r} and block {block!r}", fix="give 1 or more for both"
            )
        return ErrorDetector(fraction(m0, "the null mean m0"), float(threshold), int(block))

    def update(self, x: FloatArray) -> tuple[ErrorDetector, list[int]]:
        """Feed losses `x` [n] in order; returns the new state and the positions in `x` that raised an alarm."""
        incoming = np.asarray(x, dtype=np.float64)
        log_bets(incoming, self.m0)  # refuses what the guarantee does not cover
        values = np.concatenate([np.asarray(self.pending, dtype=np.float64), incoming])
        whole = len(values) // self.block
        means = values[: whole * self.block].reshape(whole, self.block).mean(axis=1)
        log_r, steps, highest = self._run(log_bets(means, self.m0))
        alarms = [(step + 1) * self.block - 1 - len(self.pending) for step in steps]
        state = replace(
            self,
            log_r=tuple(map(float, log_r)),
            pending=tuple(map(float, values[whole * self.block :])),
            rows=self.rows + len(incoming),
            steps=self.steps + whole,
            alarms=self.alarms + len(alarms),
            highest=highest,
        )
        return state, alarms

    def _run(self, steps: FloatArray) -> tuple[FloatArray, list[int], float]:
        """Log R after all steps [n, 8], the steps that alarmed, and the highest R / A since the last one."""
        log_r, start, highest = np.asarray(self.log_r), 0, self.highest
        alarms: list[int] = []
        while start < len(steps):
            path = _path(log_r, steps[start : start + CHUNK])
            evidence = logsumexp(path, axis=1) - np.log(LAMBDAS) - np.log(self.threshold)
            crossed = np.flatnonzero(evidence >= 0.0)
            if len(crossed) == 0:
                log_r, start, highest = path[-1], start + len(path), max(highest, float(np.exp(evidence.max())))
                continue
            alarms.append(start + int(crossed[0]))
            start += int(crossed[0]) + 1
            log_r, highest = np.full(LAMBDAS, -np.inf), 0.0
        return log_r, alarms, highest

    @property
    def log_evidence(self) -> float:
        """log of the current R."""
        return float(logsumexp(self.log_r) - np.log(LAMBDAS))

    @property
    def evidence(self) -> float:
        """Current R / A: an alarm is raised when it reaches 1."""
        return float(np.exp(min(self.log_evidence - np.log(self.threshold), 700.0)))

    def to_json(self) -> dict[str, Any]:
        """JSON types only; -inf is written as null."""
        return {
            "m0": self.m0,
            "threshold": self.threshold,
            "block": self.block,
            "log_r": [None if np.isinf(r) else r for r in self.log_r],
            "pending": list(self.pending),
            "rows": self.rows,
            "steps": self.steps,
            "alarms": self.alarms,
            "highest": self.highest,
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> ErrorDetector:
        return ErrorDetector(
            m0=float(state["m0"]),
            threshold=float(state["threshold"]),
            block=int(state["block"]),
            log_r=tuple(-np.inf if r is None else float(r) for r in state["log_r"]),
            pending=tuple(float(p) for p in state["pending"]),
            rows=int(state["rows"]),
            steps=int(state["steps"]),
            alarms=int(state["alarms"]),
            highest=float(state["highest"]),
        )


def weighted_starts(steps: Sequence[tuple[float, int]], weights: Sequence[float], m0: float) -> float:
    """Evidence that the error has risen above `m0` at one of the steps, each told by its errors and its rows.

    S_t = (S_{t-1} + w_t) e_t for each of eight bets, and their mean: a bet is begun at each step with a part of the
    stake, and what is lost or won goes on. While each row errs with a chance of at most m0, whatever came before, S
    reaches 1 / delta with probability at most delta times the sum of the weights (it is the wealth of somebody who
    began with that sum: Ville's inequality), whatever the number of looks. The weights may depend on all that was known
    before their step. All weights 1 are the Shiryaev-Roberts statistic. A step's bet is the product of the bets on its
    rows, so their order within it is of no account; good rows take the evidence down again.

    Args: `steps` errors (0 to rows) and rows (1 or more), in order; `weights` one for each, at least 0. A row that
    stands for several may err in part, say by a quarter: its bet is then no more than log(1 + bet (x - m0)), as a
    logarithm lies above its chords, and what is promised holds.

    >>> weighted_starts([(1, 12), (0, 12), (2, 12)], [0.1] * 3, 0.1) < 1
    True
    >>> weighted_starts([(1, 12), (5, 12), (6, 12)], [0.1] * 3, 0.1) > 100
    True
    """
    if any(not 0 <= errors <= rows or rows < 1 for errors, rows in steps):
        raise BackstayError(f"steps of errors and rows: {list(steps)!r}", fix="give at most as many errors as rows")
    right, wrong = log_bets(np.array([0.0, 1.0]), fraction(m0, "the null mean m0"))
    log_s = np.full(LAMBDAS, -np.inf)
    for (errors, rows), weight in zip(steps, weights, strict=True):
        stake = np.log(weight) if weight > 0.0 else -np.inf
        log_s = np.logaddexp(log_s, stake) + errors * wrong + (rows - errors) * right
    return float(np.exp(min(float(logsumexp(log_s) - np.log(LAMBDAS)), 700.0)))


def _path(log_r: FloatArray, steps: FloatArray) -> FloatArray:
    """log R after each step, from log R before: R_t = exp(S_t) * (R_0 + sum of exp(-S_i) over i < t)."""
    sums = np.cumsum(steps, axis=0)
    before = np.vstack([np.zeros(LAMBDAS), sums[:-1]])
    entries = -before
    entries[0] = np.logaddexp(entries[0], log_r)
    return np.asarray(sums + np.logaddexp.accumulate(entries, axis=0))
