"""Features of one table column, so that any change of its distribution moves their mean.

Numbers: indicators of the reference's tenths, of common single values and of "missing", and the value itself,
standardised and clipped (a shift within a tenth still shows). Categories: one indicator for each of the commonest
values, one for all others (new values too), one for "missing". Test all of them with `MeanShift.fit(..., whiten=True)`,
and the value of a number, the last feature, with a test of its own: beside eleven others a small shift drowns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, FloatArray

BINS = 10
TOP = 20
RAREST = 0.01
CLIP = 3.0
# Rows at a time: what is made of them fits the processor's cache.
CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """The map of one column, learnt from the reference.

    A column of numbers has `edges` (bin i holds edges[i-1] <= x < edges[i]), `centre` and `scale`; one of
    categories has `values`. `labels` names the features, in order.
    """

    numeric: bool
    edges: tuple[float, ...] = ()
    centre: float = 0.0
    scale: float = 1.0
    values: tuple[str, ...] = ()

    @staticmethod
    def fit(values: AnyArray, bins: int = BINS, top: int = TOP) -> ColumnMap:
        """Learn from a reference column [n]: floats (NaN is missing), or strings (None is missing).

        >>> ColumnMap.fit(np.array(["a", "a", "b", None], dtype=object)).labels
        ('a', 'b', '(other)', '(missing)')
        """
        column = np.asarray(values)
        if column.ndim != 1 or len(column) == 0:
            raise BackstayError(f"a column of shape {column.shape}", fix="give one non-empty column [n]")
        if column.dtype.kind in "fiub":
            return _fit_numbers(column.astype(np.float64), bins)
        present, counts = np.unique([str(v) for v in column if v is not None], return_counts=True)
        common = [
            str(present[i]) for i in np.argsort(-counts, kind="stable")[:top] if counts[i] >= RAREST * len(column)
        ]
        return ColumnMap(numeric=False, values=tuple(common))

    @property
    def labels(self) -> tuple[str, ...]:
        """One label for each feature."""
        if not self.numeric:
            return (*self.values, "(other)", "(missing)")
        ends = ("", *(f"{edge:.4g}" for edge in self.edges), "")
        cells = tuple(f"{low} to {high}".strip() for low, high in pairwise(ends))
        return (*cells, "(missing)", "(value)")

    def features(self, values: AnyArray) -> FloatArray:
        """Features [n, len(labels)] of a column [n] of the kind that was fitted."""
        column = np.asarray(values)
        if self.numeric != (column.dtype.kind in "fiub"):
            raise BackstayError(
                f"a column of {column.dtype} where the reference held {'numbers' if self.numeric else 'categories'}",
                fix="read the column with the reference's schema",
            )
        return self._of_numbers(column.astype(np.float64)) if self.numeric else self._of_categories(column)

    def sums(self, values: AnyArray) -> FloatArray:
        """Column sums of `features(values)` [len(labels)], without making them: what a test of means needs.

        Counting how many values reach each edge costs a tenth of finding each value's cell, and no memory.
        """
        column = np.asarray(values)
        if self.numeric != (column.dtype.kind in "fiub"):
            self.features(column)  # raises, and says why
        if not self.numeric:
            return self._category_sums(column)
        total = np.zeros(len(self.edges) + 3)
        for at in range(0, len(column), CHUNK):
            total += self._number_sums(column[at : at + CHUNK].astype(np.float64, copy=False))
        return total

    def _number_sums(self, column: FloatArray) -> FloatArray:
        reach = CLIP * self.scale
        clipped = np.clip(column, self.centre - reach, self.centre + reach)
        away = float(clipped.sum())
        known = len(column)
        if np.isnan(away):
            there = ~np.isnan(column)
            known = int(np.count_nonzero(there))
            clipped = clipped[there]
        value = float((clipped - self.centre).sum()) / self.scale
        reached = [known, *(int(np.count_nonzero(column >= edge)) for edge in self.edges), 0]
        cells = [high - low for high, low in pairwise(reached)]
        return np.array([*cells, len(column) - known, value], dtype=np.float64)

    def _category_sums(self, column: AnyArray) -> FloatArray:
        total = np.zeros(len(self.values) + 2)
        place = {value: i for i, value in enumerate(self.values)}
        other, missing = len(self.values), len(self.values) + 1
        counts = Counter(column.tolist())
        if not all(value is None or isinstance(value, str) for value in counts):
            # 1, 1.0 and True are equal, and "1", "1.0" and "True" are not.
            counts = Counter(None if value is None else str(value) for value in column.tolist())
        for value, count in counts.items():
            total[missing if value is None else place.get(str(value), other)] += count
        return total

    def _of_numbers(self, column: FloatArray) -> FloatArray:
        out = np.zeros((len(column), len(self.edges) + 3))
        missing = np.isnan(column)
        known = np.flatnonzero(~missing)
        out[known, np.searchsorted(self.edges, column[known], side="right")] = 1.0
        out[missing, -2] = 1.0
        reach = CLIP * self.scale
        out[known, -1] = (np.clip(column[known], self.centre - reach, self.centre + reach) - self.centre) / self.scale
        return out

    def _of_categories(self, column: AnyArray) -> FloatArray:
        out = np.zeros((len(column), len(self.values) + 2))
        place = {value: i for i, value in enumerate(self.values)}
        other, missing = len(self.values), len(self.values) + 1
        where = [missing if v is None else place.get(str(v), other) for v in column]
        out[np.arange(len(column)), where] = 1.0
        return out

    def to_json(self) -> dict[str, Any]:
        return {
            "numeric": self.numeric,
            "edges": list(self.edges),
            "centre": self.centre,
            "scale": self.scale,
            "values": list(self.values),
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> ColumnMap:
        return ColumnMap(
            numeric=bool(state["numeric"]),
            edges=tuple(float(edge) for edge in state["edges"]),
            centre=float(state["centre"]),
            scale=float(state["scale"]),
            values=tuple(str(value) for value in state["values"]),
        )


def _fit_numbers(column: FloatArray, bins: int) -> ColumnMap:
    known = column[np.isfinite(column)]
    if len(known) == 0:
        return ColumnMap(numeric=True)
    cuts, counts = np.unique(np.quantile(known, np.arange(1, bins) / bins, method="nearest"), return_counts=True)
    # A cut that repeats is a value that many rows share: it gets a cell of its own, closed on the right.
    edges = np.unique(np.concatenate([cuts, np.nextafter(cuts[counts > 1], np.inf)]))
    edges = edges[edges > known.min()]
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    # Most values are one value: the few others must not outweigh the indicators, their mean is far from normal.
    scale = (high - low) / 1.349 or 3.0 * float(known.std()) or 1.0
    return ColumnMap(True, tuple(map(float, edges)), float(middle), float(scale))
