"""The profile of one column: quantiles by a KLL sketch, distinct values by a CPC sketch, both of Apache DataSketches.

KLL (Karnin, Lang and Liberty 2016) answers a quantile within a rank error: 1.65% of ranks at its k of 200 with 99%
confidence. CPC (Lang 2017) counts distinct values with a standard error of about 2% at its 2^11 bins. Both take a few
kilobytes whatever the rows.

Merging is the union in two senses. CPC hashes values with a fixed seed, and the estimate is read from the hashes alone
(not from the order in which they came, as a lone sketch could): it is the same however rows were parted. KLL drops
values at random, and the library gives no seed: two runs over the same rows, and so a merge and the whole, agree within
the rank error and not exactly. Count, least and greatest agree exactly. So a profile describes; no test reads it.

Texts and numbers are counted apart: 1 and "1" are two values. Missing values are counted, not sketched.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray
from backstay.maths.sketches.means import check_version, same_key

if TYPE_CHECKING:
    from datasketches import cpc_sketch, kll_doubles_sketch

VERSION = 1
RANKS_K = 200
BINS_LOG2 = 11
# The library's own default, and the one that it reads stored sketches with: those of another seed it refuses.
HASH_SEED = 9001


@dataclass(frozen=True, slots=True, eq=False)
class ColumnProfile:
    """Rows, missing ones, distinct values and (for numbers) quantiles of one column; values are never changed.

    >>> profile = ColumnProfile.of(np.array([3.0, 1.0, np.nan, 2.0]))
    >>> profile.rows, profile.missing_rate, round(profile.distinct), profile.quantiles([0.0, 0.5, 1.0])
    (4, 0.25, 3, (1.0, 2.0, 3.0))
    """

    rows: int
    missing: int
    distinct_values: cpc_sketch
    ranks: kll_doubles_sketch | None

    @staticmethod
    def of(values: AnyArray) -> ColumnProfile:
        """The profile of a column [n]: floats with NaN for missing, or objects with None."""
        datasketches = _library()
        column = np.asarray(values)
        distinct = datasketches.cpc_sketch(BINS_LOG2, HASH_SEED)
        if column.dtype.kind in "fiub":
            numbers = column.astype(np.float64)
            known = numbers[~np.isnan(numbers)]
            ranks = datasketches.kll_doubles_sketch(RANKS_K)
            if len(known):
                ranks.update(known)
            for number in np.unique(known).tolist():
                distinct.update(number)
            return ColumnProfile(len(column), len(column) - len(known), distinct, ranks)
        texts = [str(value) for value in column.tolist() if value is not None]
        for text in set(texts):
            distinct.update(text)
        return ColumnProfile(len(column), len(column) - len(texts), distinct, None)

    def merge(self, other: ColumnProfile) -> ColumnProfile:
        """The profile of both columns of rows together (see the module for how exactly)."""
        datasketches = _library()
        same_key(self._kind, other._kind)
        union = datasketches.cpc_union(BINS_LOG2, HASH_SEED)
        union.update(self.distinct_values)
        union.update(other.distinct_values)
        ranks = None
        if self.ranks is not None and other.ranks is not None:
            # A sketch merges into itself: into a copy, here, since a profile never changes.
            ranks = datasketches.kll_doubles_sketch.deserialize(self.ranks.serialize())
            ranks.merge(other.ranks)
        return ColumnProfile(self.rows + other.rows, self.missing + other.missing, union.get_result(), ranks)

    @property
    def _kind(self) -> str:
        return "a column of numbers" if self.ranks is not None else "a column of texts"

    @property
    def missing_rate(self) -> float:
        """Share of rows without a value; 0 for no rows."""
        return self.missing / self.rows if self.rows else 0.0

    @property
    def distinct(self) -> float:
        """Estimated number of distinct values."""
        return float(self._hashes().get_estimate())

    def _hashes(self) -> cpc_sketch:
        """The sketch without the history of its making, which would tell a lone one from a merged one."""
        union = _library().cpc_union(BINS_LOG2, HASH_SEED)
        union.update(self.distinct_values)
        return union.get_result()

    def distinct_bounds(self, deviations: int = 2) -> tuple[float, float]:
        """Between which the number of distinct values lies, at 1, 2 or 3 standard errors."""
        found = self._hashes()
        return float(found.get_lower_bound(deviations)), float(found.get_upper_bound(deviations))

    def quantiles(self, ranks: Sequence[float]) -> tuple[float, ...]:
        """Values at these ranks in [0, 1]. Raises BackstayError for texts, and where no value is known."""
        if self.ranks is None or self.ranks.is_empty():
            raise BackstayError(f"quantiles of {self._kind} without a value", fix="ask for those of known numbers")
        ends = {0.0: self.ranks.get_min_value(), 1.0: self.ranks.get_max_value()}
        return tuple(float(ends[r] if r in ends else self.ranks.get_quantile(r)) for r in ranks)

    @property
    def rank_error(self) -> float:
        """How far the rank of a quantile may be off, with 99% confidence."""
        return 0.0 if self.ranks is None else float(self.ranks.normalized_rank_error(False))

    def to_json(self) -> dict[str, Any]:
        """JSON types only; the sketches in the library's own portable format, as base64."""
        return {
            "version": VERSION,
            "rows": self.rows,
            "missing": self.missing,
            "distinct": base64.b64encode(self.distinct_values.serialize()).decode(),
            "ranks": None if self.ranks is None else base64.b64encode(self.ranks.serialize()).decode(),
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> ColumnProfile:
        """What `to_json` gave. Raises BackstayError for another version, another seed, or other bytes."""
        datasketches = _library()
        check_version(state, VERSION, "profile")
        try:
            distinct = datasketches.cpc_sketch.deserialize(base64.b64decode(state["distinct"]))
            ranks = None
            if state["ranks"] is not None:
                ranks = datasketches.kll_doubles_sketch.deserialize(base64.b64decode(state["ranks"]))
        except (ValueError, RuntimeError, IndexError) as error:
            raise BackstayError("the stored profile cannot be read", fix="make it again from its rows") from error
        return ColumnProfile(int(state["rows"]), int(state["missing"]), distinct, ranks)


def _library() -> Any:
    """Apache DataSketches, imported when it is first used."""
    try:
        import datasketches
    except ImportError as error:
        raise BackstayError("profiles need the library datasketches", fix="pip install 'backstay[profile]'") from error
    return datasketches
