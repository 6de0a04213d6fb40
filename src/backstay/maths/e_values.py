"""Many e-values at once, or one after another: which nulls to reject while few of the rejections are false.

An e-value is at least 0 and at most 1 on average where its null is true: the current wealth of a bet, never its running
maximum, whose average is not bounded (`EProcess.e_value`, not `EProcess.peak`). Sources: Wang & Ramdas 2022 (e-BH),
Xu & Ramdas 2024 (e-LOND), Vovk & Wang 2021 (merging).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import BoolArray, FloatArray, fraction


def e_bh(e_values: FloatArray, alpha: float) -> BoolArray:
    """Which of these nulls to reject [k]: false discovery rate at most `alpha`, whatever the dependence.

    Rejects the k* largest, k* = max{k : the k-th largest e >= K / (alpha k)}.

    >>> e_bh(np.array([100.0, 1.0, 50.0, 0.0]), 0.1).tolist()
    [True, False, True, False]
    """
    values, level = _checked(e_values), fraction(alpha, "alpha")
    if len(values) == 0:
        return np.zeros(0, dtype=np.bool_)
    order = np.argsort(-values, kind="stable")
    wanted = len(values) / (level * np.arange(1, len(values) + 1))
    passing = np.flatnonzero(values[order] >= wanted)
    rejected = np.zeros(len(values), dtype=np.bool_)
    if len(passing):
        rejected[order[: passing[-1] + 1]] = True
    return rejected


def merged(e_values: FloatArray) -> float:
    """One e-value of several for the same null, whatever their dependence: their mean. 1 where there is none."""
    values = _checked(e_values)
    return float(values.mean()) if len(values) else 1.0


@dataclass(frozen=True, slots=True)
class ELond:
    """e-LOND: nulls that come one after another, decided at once and for good; the false discovery rate over all
    decisions so far is at most `alpha`, whatever the dependence.

    The t-th is rejected if its e-value is at least 1 / (alpha gamma_t (rejections before + 1)), where
    gamma_t = 6 / (pi^2 t^2) adds up to 1.

    >>> state, rejected = ELond.start(0.1).look(1000.0)
    >>> rejected, state.look(10.0)[1]
    (True, False)
    """

    alpha: float
    seen: int = 0
    rejections: int = 0

    @staticmethod
    def start(alpha: float) -> ELond:
        """Nothing seen yet."""
        return ELond(fraction(alpha, "alpha"))

    @property
    def needed(self) -> float:
        """The e-value from which the next null is rejected."""
        gamma = 6.0 / (np.pi * (self.seen + 1)) ** 2
        return float(1.0 / (self.alpha * gamma * (self.rejections + 1)))

    def look(self, e_value: float) -> tuple[ELond, bool]:
        """Decide on the next null, and remember it."""
        rejected = bool(_checked(np.array([e_value]))[0] >= self.needed)
        return replace(self, seen=self.seen + 1, rejections=self.rejections + rejected), rejected

    def to_json(self) -> dict[str, float]:
        return {"alpha": self.alpha, "seen": self.seen, "rejections": self.rejections}

    @staticmethod
    def from_json(state: dict[str, float]) -> ELond:
        return ELond(float(state["alpha"]), int(state["seen"]), int(state["rejections"]))


def _checked(e_values: FloatArray) -> FloatArray:
    values = np.asarray(e_values, dtype=np.float64)
    if values.ndim != 1 or np.any(np.isnan(values)) or np.any(values < 0.0):
        raise BackstayError("e-values that are negative, missing or no list", fix="give the current wealth of each bet")
    return values
