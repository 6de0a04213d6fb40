"""One column of a table, as the detector of columns knows it: it varied in the reference, or held one value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from backstay.kernel.records import Json
from backstay.maths.arrays import AnyArray, FloatArray
from backstay.maths.columns import ColumnMap
from backstay.maths.meanshift import LEAST_ALPHA, MeanShift, ShiftResult
from backstay.maths.sketches.means import MeanSketch
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.rates import Share
from backstay.monitor.detectors.verdict import check
from backstay.monitor.measures import map_key

# Of a column of numbers the feature that holds the value itself.
VALUE = slice(-1, None)


class Judged(NamedTuple):
    """A test of a column: its result, what it was made against, which of the column's features it reads, its level."""

    result: ShiftResult
    shift: MeanShift
    features: slice
    alpha: float


@dataclass(frozen=True, slots=True, eq=False)
class Varying:
    """A column with variation: feature map, reference mean and error, and (for numbers) its plain mean and the test of
    the value alone."""

    name: str
    map: ColumnMap
    shift: MeanShift
    mean: float | None
    level: MeanShift | None

    @property
    def tests(self) -> int:
        return 1 if self.level is None else 2

    def judge(self, sketch: MeanSketch, codes: AnyArray | None, look: Look, alpha: float, family: int) -> Judged:
        """The stronger of the tests, together at level `alpha`."""
        each = max(alpha / self.tests, LEAST_ALPHA)
        shape = Judged(check(self.shift, sketch, codes, look, each, family), self.shift, slice(None), each)
        if self.level is None:
            return shape
        value = MeanSketch(sketch.key, sketch.n, sketch.total[VALUE], sketch.carry[VALUE])
        level = Judged(check(self.level, value, codes, look, each, family), self.level, VALUE, each)
        return max(shape, level, key=lambda judged: judged.result.evidence)

    def sketch(self, values: AnyArray) -> MeanSketch:
        return MeanSketch.of_sum(map_key("column", self.map), len(values), self.map.sums(values))

    def words(self, now: FloatArray, plain: float, by_value: bool) -> str:
        """What moved: the mean of a number (`plain` is it now), the share of a category or of missing values.

        `by_value`: the test of the value alone says so.
        """
        before = self.shift.mean
        labels = self.map.labels
        missing = labels.index("(missing)")
        if self.mean is not None:
            if abs(now[missing] - before[missing]) > max(0.05, abs(now[-1] - before[-1]) / 2):
                return f"{self.name}: missing {before[missing]:.1%} -> {now[missing]:.1%}"
            if by_value or abs(now[-1] - before[-1]) >= 0.05:
                return f"{self.name}: mean {self.mean:.4g} -> {plain:.4g}"
            labels, before, now = labels[:-1], before[:-1], now[:-1]
        far = np.abs(now - before) / np.sqrt(before * (1 - before) + 0.01)
        i = int(np.argmax(far))
        return f"{self.name}: {labels[i]} {before[i]:.1%} -> {now[i]:.1%}"

    def to_json(self) -> Json:
        return {
            "name": self.name,
            "map": self.map.to_json(),
            "shift": self.shift.to_json(),
            "mean": self.mean,
            "level": None if self.level is None else self.level.to_json(),
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Varying:
        level = state.get("level")  # before the value alone was tested, the whole level was that of the shape
        return Varying(
            str(state["name"]),
            ColumnMap.from_json(state["map"]),
            MeanShift.from_json(state["shift"]),
            None if state["mean"] is None else float(state["mean"]),
            None if level is None else MeanShift.from_json(level),
        )


@dataclass(frozen=True, slots=True)
class Constant:
    """A column that held one value (text form) in `n` effective reference rows."""

    name: str
    value: str
    n: float

    def sketch(self, values: AnyArray) -> MeanSketch:
        """How many rows differ from the constant."""
        return MeanSketch.of_sum("constant/1", len(values), np.array([float(self._differing(values))]))

    def _differing(self, values: AnyArray) -> int:
        if values.dtype.kind != "f":
            return len(values) - Counter(map(as_text, values.tolist()))[self.value]
        if self.value == "missing":
            return int(np.count_nonzero(~np.isnan(values)))
        return int(np.count_nonzero(values != float(self.value)))

    def evidence(self, sketch: MeanSketch, codes: AnyArray | None, alpha: float) -> float:
        """1 or more is an alarm."""
        rows = sketch.n if codes is None else len(np.unique(codes))
        return Share(0.0, self.n).evidence(Share(float(sketch.mean[0]) * rows, float(rows)), alpha)

    def to_json(self) -> Json:
        return {"name": self.name, "value": self.value, "n": self.n}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Constant:
        return Constant(str(state["name"]), str(state["value"]), float(state["n"]))


def as_text(value: object) -> str:
    """A value as text; all missing values are one.

    >>> as_text(None), as_text(float("nan")), as_text(2.0)
    ('missing', 'missing', '2.0')
    """
    return "missing" if value is None or value != value else str(value)
