"""Block means of a stream, so long that one hardly tells the next: for bets on a stream with good and bad days.

A bet against "the mean is at most m0" is safe where each mean, *given the past*, is at most m0. A stream that is right
on average and has regimes is not such a one: with error rates of .05 and .15 in turns of 200 rows, half of all streams
raised a false alarm at 5%. Means of blocks that span the regimes are, up to a tolerance in m0.

The length is doubled for as long as neighbouring blocks tell each other more than half the tolerance: the predictable
part of a block mean has standard deviation |c| / s (c the covariance of neighbours, s the standard deviation of a
block mean); what chance alone brings there, about s1 / sqrt(rows), is allowed for. The length is chosen from rows that
came before, so that the bets stay predictable; it never falls. Until enough rows have been seen blocks are of `first`.

Trap: a season longer than the history cannot be seen in it; no length helps against a mean that has gone for good.
Sources: Politis & White 2004 (why the length must follow the dependence); Shin, Ramdas & Rinaldo 2023 (bets).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, vector

# Rows that are remembered, rows before which the length is not judged, and blocks below which a length is not judged.
REMEMBERED = 4000
LEAST_ROWS = 200
LEAST_BLOCKS = 8
# How often chance may bring a covariance that looks like dependence: in standard errors.
BY_CHANCE = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """A stream cut into blocks: the tolerance, the length now, rows of the unfinished block, and rows remembered.

    >>> blocks, means = Blocks.start(tolerance=0.02, first=4).cut(np.array([0.0, 1.0, 0.0, 1.0, 1.0]))
    >>> means.tolist(), blocks.pending
    ([0.5], (1.0,))
    """

    tolerance: float
    length: int
    pending: tuple[float, ...] = ()
    history: tuple[float, ...] = ()

    @staticmethod
    def start(tolerance: float, first: int = 1) -> Blocks:
        """No rows yet; blocks of `first` rows until the stream has shown how long they must be."""
        if not tolerance > 0.0 or first < 1:
            raise BackstayError(
                f"a tolerance of {tolerance!r} and first blocks of {first!r} rows",
                fix="give a tolerance above 0, which dependence may use up, and blocks of 1 row or more",
            )
        return Blocks(float(tolerance), int(first))

    def cut(self, values: FloatArray) -> tuple[Blocks, FloatArray]:
        """The state after `values` [n], in order, and the means of the blocks that they complete."""
        incoming = np.asarray(values, dtype=np.float64).tolist()
        pending, history = list(self.pending), list(self.history)
        length, means, at = self.length, [], 0
        while at < len(incoming):
            part = incoming[at : at + length - len(pending)]
            at += len(part)
            pending += part
            if len(pending) < length:
                break
            means.append(float(np.mean(pending)))
            history += pending
            # The length is judged at most once for each tenth more rows: it is not the time for it at every row.
            if len(history) >= LEAST_ROWS and _due(len(history), len(pending)):
                length = max(length, block_length(np.asarray(history[-REMEMBERED:]), self.tolerance))
            pending = []
        state = replace(self, length=length, pending=tuple(pending), history=tuple(history[-REMEMBERED:]))
        return state, np.asarray(means, dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        return {
            "tolerance": self.tolerance,
            "length": self.length,
            "pending": list(self.pending),
            "history": list(self.history),
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Blocks:
        return Blocks(
            float(state["tolerance"]),
            int(state["length"]),
            tuple(float(value) for value in state["pending"]),
            tuple(float(value) for value in state["history"]),
        )


def block_length(history: FloatArray, tolerance: float) -> int:
    """The shortest length, among doublings of 1, whose neighbouring blocks tell each other little.

    >>> rng = np.random.default_rng(1)
    >>> block_length((rng.random(2000) < 0.1).astype(float), 0.02)
    1
    >>> days = np.repeat(rng.permutation([0.02, 0.18] * 20), 50)
    >>> block_length((rng.random(2000) < days).astype(float), 0.02) >= 50
    True
    """
    rows = vector(history, "the stream so far")
    allowed = max(tolerance / 2.0, BY_CHANCE * float(rows.std()) / np.sqrt(len(rows)))
    length = 1
    while len(rows) // (2 * length) >= LEAST_BLOCKS and _told(rows, length) > allowed:
        length *= 2
    return length


def _told(rows: FloatArray, length: int) -> float:
    """Standard deviation of what one block mean tells of the next; the worst of this length and the two below."""
    worst = 0.0
    for size in (length, max(length // 2, 1)):
        whole = len(rows) // size
        means = rows[len(rows) - whole * size :].reshape(whole, size).mean(axis=1)
        means = means - means.mean()
        spread = float(np.sqrt(np.mean(means**2)))
        if spread > 0.0:
            worst = max(worst, float(np.mean(means[1:] * means[:-1])) / spread)
    return worst


def _due(rows: int, added: int) -> bool:
    step = max(min(rows, REMEMBERED) // 10, 20)
    return rows // step != (rows - added) // step
