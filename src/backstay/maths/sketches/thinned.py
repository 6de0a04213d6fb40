"""Feature sums of a thinned stream: of many rows about `most` are looked at, chosen by the hash of their id.

For features that are dear to compute (256 cosines a row) and a reference that is itself limited, so that a hundredth of
a large window says nearly as much as all of it. A row has level l or higher with chance 2^-l (`hashes.levels`); the
sketch keeps one sum for each level and reads those from the lowest level on at which no more than `most` rows lie.
Rows below that level are counted and never computed. Which rows those are depends on the set of ids alone, so parts
merge to the sketch of the whole, in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, RealArray
from backstay.maths.sketches.hashes import Hashes, levels
from backstay.maths.sketches.means import MeanSketch, check_version, same_key

VERSION = 1
LEVELS = 49
# Rows whose features are in memory at one time.
AT_A_TIME = 4096


@dataclass(frozen=True, slots=True, eq=False)
class ThinnedSketch:
    """Rows by level [49], the feature sums of the levels that are still read, and the most rows to read.

    >>> from backstay.maths.sketches.hashes import hash_ids
    >>> ids = np.arange(10_000)
    >>> sketch = ThinnedSketch.of("unit/1", 1, 1000, hash_ids(ids), lambda rows: np.ones((len(rows), 1)))
    >>> sketch.rows, 400 < sketch.kept.n <= 1000, sketch.kept.mean.tolist()
    (10000, True, [1.0])
    """

    key: str
    features: int
    most: int
    counts: tuple[int, ...]
    sums: Mapping[int, MeanSketch]

    @staticmethod
    def empty(key: str, features: int, most: int) -> ThinnedSketch:
        """The sketch of no rows."""
        if most < 1:
            raise BackstayError(f"a thinned sketch of at most {most} rows", fix="give 1 or more")
        return ThinnedSketch(key, features, most, (0,) * LEVELS, {})

    @staticmethod
    def of(
        key: str, features: int, most: int, hashes: Hashes, compute: Callable[[AnyArray], RealArray]
    ) -> ThinnedSketch:
        """The sketch of rows with these hashes [n]; `compute` gives features [m, d] of the row numbers [m] asked."""
        return ThinnedSketch.empty(key, features, most).add(hashes, compute)

    def add(self, hashes: Hashes, compute: Callable[[AnyArray], RealArray]) -> ThinnedSketch:
        """The sketch with more rows; features are computed of those alone that will be read."""
        level = levels(hashes)
        counts = np.bincount(level, minlength=LEVELS) + np.asarray(self.counts)
        floor = _floor(counts, self.most)
        sums = {at: part for at, part in self.sums.items() if at >= floor}
        chosen = np.flatnonzero(level >= floor)
        chosen = chosen[np.argsort(level[chosen], kind="stable")]
        for start in range(0, len(chosen), AT_A_TIME):
            rows = chosen[start : start + AT_A_TIME]
            found, at = compute(rows), level[rows]
            for one in np.unique(at).tolist():
                low, high = np.searchsorted(at, [one, one + 1])
                part = MeanSketch.of(self.key, found[low:high])
                sums[one] = sums[one].merge(part) if one in sums else part
        return ThinnedSketch(self.key, self.features, self.most, tuple(counts.tolist()), sums)

    def merge(self, other: ThinnedSketch) -> ThinnedSketch:
        """The sketch of both sets of rows together; an id that is in both counts twice."""
        same_key(f"{self.key}, at most {self.most} rows", f"{other.key}, at most {other.most} rows")
        counts = np.asarray(self.counts) + np.asarray(other.counts)
        floor = _floor(counts, self.most)
        sums = {at: part for at, part in self.sums.items() if at >= floor}
        for at, part in other.sums.items():
            if at >= floor:
                sums[at] = sums[at].merge(part) if at in sums else part
        return ThinnedSketch(self.key, self.features, self.most, tuple(counts.tolist()), sums)

    @property
    def rows(self) -> int:
        """All rows that were offered."""
        return sum(self.counts)

    @property
    def kept(self) -> MeanSketch:
        """Count and sum of the rows that are read."""
        found = MeanSketch.empty(self.key, self.features)
        for at in sorted(self.sums):
            found = found.merge(self.sums[at])
        return found

    def to_json(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "version": VERSION,
            "key": self.key,
            "features": self.features,
            "most": self.most,
            "counts": list(self.counts),
            "sums": {str(at): part.to_json() for at, part in self.sums.items()},
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> ThinnedSketch:
        check_version(state, VERSION, "thinned")
        return ThinnedSketch(
            str(state["key"]),
            int(state["features"]),
            int(state["most"]),
            tuple(int(count) for count in state["counts"]),
            {int(at): MeanSketch.from_json(part) for at, part in state["sums"].items()},
        )


def thinned_level(hashes: Hashes, most: int) -> int:
    """The lowest level from which on at most `most` of these rows lie."""
    return _floor(np.bincount(levels(hashes), minlength=LEVELS), most)


def _floor(counts: AnyArray, most: int) -> int:
    above = np.cumsum(np.asarray(counts)[::-1])[::-1]
    fits = np.flatnonzero(above <= most)
    return int(fits[0]) if len(fits) else LEVELS - 1
