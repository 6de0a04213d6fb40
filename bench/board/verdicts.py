"""What the scoreboard computes from scores: thresholds at equal false alarms, rates, delays, and pairs.

A score alarms above a threshold. At equal false alarms each method's threshold is the quantile of its own scores over
the calibration seeds, of which no other figure is made. Windows of one seed share its reference, so a paired
difference is taken by seed; its interval is Student's over the seeds, or McNemar's over the windows if that is wider
(few seeds may agree by chance). With fewer than four seeds there is no verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

Array = np.ndarray[Any, np.dtype[np.float64]]
# By seed: scores [windows] and the method's own alarms [windows].
BySeed = dict[int, tuple[Array, Array]]
LONGEST = 200
LEAST_SEEDS = 4


@dataclass(frozen=True, slots=True)
class Pair:
    """Ours less theirs: the mean over seeds, its 95% interval, and how many windows only one of the two found."""

    difference: float
    low: float
    high: float
    only_ours: int
    only_theirs: int
    seeds: int

    @property
    def verdict(self) -> str:
        if self.seeds < LEAST_SEEDS:
            return f"too few seeds ({self.seeds})"
        if self.low > 0:
            return "superior"
        return "worse" if self.high < 0 else "not significantly different"


def threshold(calibration: BySeed, level: float) -> float:
    """The least score that is exceeded in at most this share of the calibration windows."""
    scores = np.concatenate([pair[0] for pair in calibration.values()])
    return float(np.quantile(scores, 1.0 - level, method="higher"))


def alarms(found: BySeed, limit: float | None) -> dict[int, Array]:
    """The alarms by seed: at the method's own threshold (`limit` None), or above this one."""
    return {seed: own if limit is None else (scores > limit) for seed, (scores, own) in found.items()}


def rate(said: dict[int, Array]) -> float:
    return float(np.mean(np.concatenate(list(said.values()))))


def spread(said: dict[int, Array]) -> float:
    """Standard error of the rate, over seeds."""
    rates = [float(np.mean(one)) for one in said.values()]
    return float(np.std(rates, ddof=1) / np.sqrt(len(rates))) if len(rates) > 1 else float("nan")


def delay(said: dict[int, Array]) -> float:
    """Windows to the first alarm, its own included: the mean over all windows that one may begin at.

    The windows of a seed follow each other as in a ring; a seed without any alarm counts as the longest.

    >>> delay({0: np.array([False, True])})
    1.5
    """
    waits = []
    for one in said.values():
        places = np.flatnonzero(one)
        if len(places) == 0:
            waits.append(float(LONGEST))
            continue
        gaps = np.diff(np.append(places, places[0] + len(one)))
        waits.append(float(np.sum(gaps * (gaps + 1) / 2) / len(one)))
    return float(np.mean(np.minimum(waits, LONGEST)))


def pair(ours: dict[int, Array], theirs: dict[int, Array]) -> Pair:
    """Compared on the windows that both have been given."""
    seeds = sorted(set(ours) & set(theirs))
    differences, only_ours, only_theirs, windows = [], 0, 0, 0
    for seed in seeds:
        few = min(len(ours[seed]), len(theirs[seed]))
        mine, other = ours[seed][:few].astype(bool), theirs[seed][:few].astype(bool)
        differences.append(float(mine.mean() - other.mean()))
        windows += few
        only_ours += int(np.sum(mine & ~other))
        only_theirs += int(np.sum(other & ~mine))
    middle, reach = interval(differences)
    apart = only_ours + only_theirs - (only_ours - only_theirs) ** 2 / windows
    reach = max(reach, 1.96 * float(np.sqrt(apart)) / windows)
    return Pair(middle, middle - reach, middle + reach, only_ours, only_theirs, len(seeds))


def interval(differences: list[float]) -> tuple[float, float]:
    """Their mean, and half of Student's 95% interval for it; with a single one nothing is known."""
    if len(differences) < 2:
        return float(np.mean(differences)), float("inf")
    error = float(np.std(differences, ddof=1)) / np.sqrt(len(differences))
    return float(np.mean(differences)), float(student.ppf(0.975, len(differences) - 1)) * error


def as_json(pair: Pair) -> dict[str, Any]:
    return {
        "difference": round(pair.difference, 4),
        "low": round(max(pair.low, -1.0), 4),
        "high": round(min(pair.high, 1.0), 4),
        "only_ours": pair.only_ours,
        "only_theirs": pair.only_theirs,
        "seeds": pair.seeds,
        "verdict": pair.verdict,
    }
