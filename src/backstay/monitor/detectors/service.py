"""Do answers come later than they did, or fail more often? Latency and failed requests, by the hour, from the log.

**Sees:** a service that became slower, or fails more often.
**Compares:** the hours of a window with those of the first 14 days of the release that are watched; no reference has
such figures. Each hour gives two numbers: the log of the median latency of its rows, and the share of requests that
failed. With `watch.season` "day" or "week" each number is taken less the baseline's mean of the same hour, so that a
busy Monday is compared with busy Mondays.
**Statistic:** the rise of the mean over days (the whole window where it is shorter: hours of one day are slow
together), over what would alarm, with Student's t, s the baseline's spread of days, n0 its days and n1 the window's:

    rise / max( t(0.95) s / sqrt(n0) + t(1 - level / 2) s / sqrt(n1),  a tenth more latency, or one request in 200 )

Failures must besides be more than a binomial of the baseline's share allows: a few of them are no normal number.
**Needs:** Latency. Kept by `backstay serve` by itself; of a model that answers elsewhere the column
`predictions.latency` of `backstay log`, or `latency_ms` of `POST .../predictions`. Hours with fewer than five requests
are left out.
**Promises:** at each look its level, half of it for each number, for 95 baselines of 100, by Student's t. Measured:
0.10 to 0.29 of the level on average; at the 95th baseline 1.32 for weeks without a season, 0.24 to 0.60 with one
(docs/statistics/errors.md).
**Alarms for nothing:** where traffic grows a little every week (then latency does), the baseline was a good time, or
the service changes with the calendar in a way that `watch.season` does not name.
**Silent:** in the first 14 days; for what a network added, for latency is what a request waited in the server; where
large requests make the share of failures look small, since answered rows stand for answered requests. A failed request
is one that our server could not answer (5xx): bad requests leave nothing, and of a model that answers elsewhere nobody
tells us of failures, so that its latency alone is watched.
**When it alarms:** look at the slowest rows that it shows, the size of requests, the machine and what was deployed
with the model; `/metrics` and docs/alerts.yml tell the minute. It tells of the service, nothing of the model.
**Settings:** `watch.season`, `predictions.latency`; `budget.weights`. Off unless `watch.detectors` names it.
**Source:** Student 1908; Clopper & Pearson 1934.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray, FloatArray
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.rates import REFERENCE_DELTA, Share
from backstay.monitor.detectors.verdict import EXAMPLES, not_judged, strength
from backstay.monitor.reference import Reference
from backstay.monitor.seasons import hour_cells
from backstay.monitor.traffic import WindowData

NAME = "service"
BASELINE_DAYS = 14
FEWEST_ROWS_AN_HOUR = 5
NUMBERS = ("latency", "failures")
NO_LATENCIES = "no latencies are logged (predictions.latency names their column where answers come from elsewhere)"
_Hour = tuple[float, float, float, float, float]
# A rise smaller than this is nobody's business, however surely it is one: a tenth more latency, one request in 200.
LEAST = {"latency": 0.1, "failures": 0.005}


@dataclass(frozen=True, slots=True)
class _Rise:
    """What one number showed: evidence, and the means before and now in the units that people read."""

    evidence: float
    words: str


@dataclass(frozen=True, slots=True)
class ServiceDetector:
    """Nothing is learnt from the reference; the baseline, of so many days, is in the state."""

    days: int = BASELINE_DAYS

    @classmethod
    def fit(cls, reference: Reference) -> ServiceDetector | None:  # noqa: ARG003 - the shelf's signature
        """Always: whether latencies are logged is seen in the windows."""
        return cls()

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Learn the baseline first, then test each window against it."""
        hours = _hours(window)
        if not hours:
            return not_judged(NAME, window, NO_LATENCIES), state
        before: list[_Hour] = [(at, wait, share, bad, of) for at, wait, share, bad, of in state.get("baseline", [])]
        if not state.get("complete"):
            baseline = [*before, *hours]
            days = {int(hour[0]) // 24 for hour in baseline}
            complete = len(days) >= self.days
            fresh = {"baseline": [list(hour) for hour in baseline], "complete": complete}
            return not_judged(NAME, window, f"learning what is usual: {len(days)} of {self.days} days"), fresh
        # Where nobody tells of failures there is nothing to say of them; the other half of the level stays unspent.
        told = NUMBERS if window.failures is not None else NUMBERS[:1]
        rises = {name: _rise(name, before, hours, window.days, look) for name in told}
        strongest = max(rises.values(), key=lambda rise: rise.evidence)
        alarm = strongest.evidence >= 1.0
        moved = tuple(r.words for r in sorted(rises.values(), key=lambda r: -r.evidence) if r.evidence >= 1.0)
        slower = "the service is slower or fails more often" if len(told) > 1 else "the service is slower"
        what = slower if alarm else "the service answers as before"
        signal = Signal(
            detector=NAME,
            evidence=strongest.evidence,
            alarm=alarm,
            alpha=look.alpha,
            n=window.rows,
            message=f"{what}: {'; '.join(rise.words for rise in rises.values())} ({strength(strongest.evidence)})",
            moved=moved,
            example_ids=_slowest(window) if alarm else (),
            figures={"judged": True, "evidence_by_number": {name: rise.evidence for name, rise in rises.items()}},
        )
        return signal, state

    def to_json(self) -> Json:
        return {"days": self.days}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> ServiceDetector:
        return cls(int(state["days"]))


def _hours(window: WindowData) -> list[_Hour]:
    """(hour since 1970, log median milliseconds, share failed, failed, requests) for each hour with enough rows."""
    if window.latencies is None:
        return []
    known = np.isfinite(window.latencies) & (window.latencies > 0.0)
    at = window.times[known].astype("datetime64[h]").astype(np.int64)
    failed = np.zeros(0, dtype=np.int64) if window.failures is None else _hour_numbers(window.failures)
    found = []
    for hour in np.unique(np.concatenate([at, failed])):
        waits, bad = window.latencies[known][at == hour], int(np.count_nonzero(failed == hour))
        if len(waits) + bad < FEWEST_ROWS_AN_HOUR or not len(waits):
            continue
        requests = float(len(waits) + bad)
        found.append((float(hour), float(np.log(np.median(waits))), bad / requests, float(bad), requests))
    return found


def _hour_numbers(times: AnyArray) -> AnyArray:
    return np.asarray(times.astype("datetime64[h]").astype(np.int64))


def _rise(
    name: str,
    before: list[_Hour],
    hours: list[_Hour],
    days: float,
    look: Look,
) -> _Rise:
    """The test of one number."""
    place = 1 + NUMBERS.index(name)
    old, new = np.asarray(before), np.asarray(hours)
    usual = _Usual.of(old[:, 0], old[:, place], look.season)
    unit = min(24.0, max(1.0, round(24.0 * days)))
    then = _unit_means(old[:, 0], usual.left_out(old[:, 0], old[:, place]), unit)
    now = _unit_means(new[:, 0], new[:, place] - usual.at(new[:, 0]), unit)
    alpha = look.alpha / len(NUMBERS)
    # The spread is the baseline's: a few units of a window say little of it, and t would be wide for nothing.
    spread = max(float(then.std(ddof=1)), 1e-6)
    freedom = len(then) - 1
    limit = spread / np.sqrt(len(then)) * float(stdtrit(freedom, 1.0 - REFERENCE_DELTA))
    needed = limit + spread / np.sqrt(len(now)) * float(stdtrit(freedom, 1.0 - alpha))
    rise = float(now.mean())
    evidence = max(rise, 0.0) / max(needed, LEAST[name])
    if name == "failures":
        share = Share(float(old[:, 3].sum()), float(old[:, 4].sum()))
        evidence = min(evidence, share.evidence(Share(float(new[:, 3].sum()), float(new[:, 4].sum())), alpha))
    return _Rise(evidence, _words(name, old[:, place], rise))


def _words(name: str, old: FloatArray, rise: float) -> str:
    usual = float(old.mean())
    if name == "latency":
        return f"median latency {np.exp(usual):.3g} ms -> {np.exp(usual + rise):.3g} ms"
    return f"failed requests {usual:.2%} -> {max(usual + rise, 0.0):.2%}"


@dataclass(frozen=True, slots=True)
class _Usual:
    """Sum and number of the baseline's values in each cell of the season, and over all."""

    season: str
    cells: Mapping[int, tuple[float, int]]
    mean: float

    @staticmethod
    def of(hours: FloatArray, values: FloatArray, season: str) -> _Usual:
        found: dict[int, tuple[float, int]] = {}
        for cell, value in zip(hour_cells(hours, season).tolist(), values.tolist(), strict=True):
            total, count = found.get(cell, (0.0, 0))
            found[cell] = (total + value, count + 1)
        return _Usual(season, found, float(values.mean()))

    def at(self, hours: FloatArray) -> FloatArray:
        """What is usual at these hours: the mean of the cell, or of all where the baseline never saw it."""
        return np.array([self._mean(cell) for cell in hour_cells(hours, self.season).tolist()])

    def left_out(self, hours: FloatArray, values: FloatArray) -> FloatArray:
        """Each baseline value less the mean of the others of its cell: as far off as a new value would be."""
        found = np.empty(len(values))
        for i, (cell, value) in enumerate(zip(hour_cells(hours, self.season).tolist(), values.tolist(), strict=True)):
            total, count = self.cells[cell]
            found[i] = value - ((total - value) / (count - 1) if count > 1 else self.mean)
        return found

    def _mean(self, cell: int) -> float:
        total, count = self.cells.get(cell, (self.mean, 1))
        return total / count


def _unit_means(hours: FloatArray, values: FloatArray, unit: float) -> FloatArray:
    """Means of the values of each day or hour."""
    _, places = np.unique(hours // unit, return_inverse=True)
    return np.asarray(np.bincount(places, weights=values) / np.bincount(places))


def _slowest(window: WindowData) -> tuple[str, ...]:
    if window.latencies is None:
        return ()
    order = np.argsort(-np.nan_to_num(window.latencies, nan=-1.0), kind="stable")[:EXAMPLES]
    return tuple(str(window.ids[row]) for row in order)
