"""Labels that take their time: a window's labels count once it is old enough, all of them together.

Where bad news comes sooner than good (a fraud is reported at once, that a loan was paid back is known after months),
the labels of a young window are mostly bad. So none of them counts before most can have come. What comes later still
counts, when it comes, and is told of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from backstay.kernel.clock import utc
from backstay.kernel.records import Estimate, Json
from backstay.monitor.memory import POOLED, Memory
from backstay.monitor.traffic import LabelledRow, WindowData

MOST_COME = 0.9


@dataclass(frozen=True, slots=True)
class Maturity:
    """What labels count at a look: those of rows predicted before `until`.

    Args:
        waiting: labels that are known and do not count yet. late: labels that count only now although their window
            was mature at the look before.
    """

    days: float
    until: datetime
    waiting: int = 0
    late: int = 0

    def told(self) -> Json:
        """For the window's figures; nothing where labels count as they come."""
        return {} if self.days == 0.0 else {"labels_waiting": self.waiting, "late_labels": self.late}

    def advice(self) -> tuple[str, ...]:
        found = []
        if self.days and self.waiting:
            found.append(f"{self.waiting} labels wait until their windows are {self.days:g} days old.")
        if self.days and self.late:
            found.append(
                f"{self.late} labels came after their windows were {self.days:g} days old: they count from now on. "
                "If late ones are wrong more often, raise labels.maturity_days."
            )
        return tuple(found)


def mature_until(memory: Memory, now: datetime, days: float) -> datetime:
    """The end of the newest window that is old enough; without a wait, now."""
    if days == 0.0:
        return now
    ends = [pool.end for pool in memory.pools if pool.end <= now - timedelta(days=days)]
    return max(ends, default=memory.started)


def ripened(memory: Memory, window: WindowData, days: float) -> tuple[WindowData, Maturity]:
    """The window with those labels that count at this look and have not counted before, and what waits or is late."""
    end = utc(window.end)
    until = mature_until(memory, end, days)
    fresh = memory.fresh(window.labels, until)
    if days == 0.0:
        return replace(window, labels=fresh), Maturity(days, until)
    known = memory.fresh(window.labels, end)
    before = mature_until(memory, memory.last_end, days) if memory.last_end is not None else memory.started
    late = _speaking(row for row in fresh if row.predicted_at < before)
    waiting = _speaking(row for row in known if row.predicted_at >= until)
    return replace(window, labels=fresh), Maturity(days, until, waiting, late)


def mature_windows(memory: Memory, maturity: Maturity) -> Memory:
    """The memory as estimates read it: without the windows whose labels do not count yet."""
    if maturity.days == 0.0:
        return memory
    return replace(memory, pools=tuple(pool for pool in memory.pools if pool.end <= maturity.until))


def dated(estimate: Estimate | None, maturity: Maturity) -> Estimate | None:
    """An estimate from labels that says how long these had."""
    if estimate is None or maturity.days == 0.0:
        return estimate
    return replace(estimate, figures={**estimate.figures, "matured_days": maturity.days})


def outlived(window: WindowData, memory: Memory, maturity: Maturity) -> tuple[str, ...]:
    """What to do where labels come when estimates have forgotten their rows. `memory` is that after this window."""
    rows = [row for row in window.labels if row.representative]
    kept = {point.prediction_id for point in memory.labels}
    since = utc(window.end) - timedelta(days=maturity.days) - POOLED
    lost = sum(row.predicted_at < since and row.label.prediction_id not in kept for row in rows)
    if lost == 0:
        return ()
    delays = sorted((row.arrived_at - row.predicted_at).total_seconds() / 86_400 for row in rows)
    most = math.ceil(delays[min(int(MOST_COME * len(delays)), len(delays) - 1)])
    return (
        f"{lost} labels came for rows that are older than estimates look back: detectors count them, estimates do "
        f"not. Set labels.maturity_days = {most}: nine in ten of the newest {len(rows)} labels came as soon as that.",
    )


def _speaking(rows: Iterable[LabelledRow]) -> int:
    return sum(row.representative for row in rows)
