"""How many independent sources the stream draws from: customers that come again, scans that are shown again.

A stream that draws again and again from a few hundred sources differs from its reference for ever by the luck of
that draw, with nothing having changed. How often groups come back tells how many there are (capture and
recapture, Chapman 1951), and the threshold of the mean-shift test counts that error as it counts the reference's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from backstay.kernel.ids import fraction
from backstay.maths.arrays import AnyArray

KEPT = 1024


@dataclass(frozen=True, slots=True)
class Sources:
    """The smallest hashes of the groups seen so far (bottom-k sketch): sizes of sets and of their overlap.

    >>> seen = Sources().add(np.array([f"scan {i}" for i in range(300)], dtype=object))
    >>> round(seen.total(np.array([f"scan {i}" for i in range(100, 300)], dtype=object)))
    300
    """

    hashes: tuple[float, ...] = ()

    def add(self, groups: AnyArray) -> Sources:
        return Sources(tuple(sorted({*self.hashes, *_hashes(groups)})[:KEPT]))

    def total(self, groups: AnyArray) -> float:
        """Estimated number of sources behind both what was seen before and these groups; infinite when none recurs."""
        before, now = self.hashes, sorted(_hashes(groups))[:KEPT]
        if not before or not now:
            return float("inf")
        limit = min(_limit(before), _limit(now))
        old = {h for h in before if h <= limit}
        new = {h for h in now if h <= limit}
        both = len(old & new)
        if both == 0:
            return float("inf")
        return ((len(old) + 1) * (len(new) + 1) / (both + 1) - 1) / limit


def source_count(seen: Sources, groups: AnyArray | None) -> float:
    """Sources behind a window: by what was seen before it, else by its second half against its first.

    Rounded to two digits, so that windows alike share a threshold.
    """
    if groups is None:
        return float("inf")
    named = np.asarray([group for group in groups if not _alone(group)], dtype=object)
    half = len(named) // 2
    total = seen.total(named) if seen.hashes else Sources().add(named[:half]).total(named[half:])
    return total if not np.isfinite(total) else float(f"{max(total, 2.0):.2g}")


def _hashes(groups: Iterable[object]) -> set[float]:
    return {fraction(str(group), "source") for group in set(groups) if not _alone(group)}


def _alone(group: object) -> bool:
    """None, NaN or "": the row belongs to no group."""
    return group is None or group != group or group == ""


def _limit(hashes: Iterable[float]) -> float:
    kept = tuple(hashes)
    return 1.0 if len(kept) < KEPT else kept[-1]
