"""One column of a table, as the detector of columns knows it: it varied in the reference, or held one value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from backstay.kernel.records import Json
from backstay.maths.arrays import AnyArray, FloatArray
from backstay.maths.columns import CLIP, ColumnMap
from backstay.maths.meanshift import LEAST_ALPHA, MeanShift, ShiftResult
from backstay.maths.sketches.means import MeanSketch
from backstay.maths.sketches.moments import Moments
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
    """A column with variation: feature map, reference mean and error, and (for numbers) its plain mean, the test of
    the value alone, and the share of its rows that is infinite."""

    name: str
    map: ColumnMap
    shift: MeanShift
    mean: float | None
    level: MeanShift | None
    infinite: float = 0.0

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

    def words(self, now: FloatArray, known: Moments, by_value: bool) -> str:
        """What moved: the mean of a number, the share of a category, of missing or of infinite values.

        `known`: a number's plain moments now. `by_value`: the test of the value alone says so.
        """
        before = self.shift.mean
        labels = self.map.labels
        missing = labels.index("(missing)")
        if self.mean is not None:
            away = abs(now[-1] - before[-1])
            if abs(now[missing] - before[missing]) > max(0.05, away / 2):
                return f"{self.name}: missing {before[missing]:.1%} -> {now[missing]:.1%}"
            infinite = known.infinite / max(known.rows, 1)
            # Each of them counts in an outer cell and as a value at the clip: what they explain is not put on others.
            cells = float(np.max(np.abs(now - before)[:missing], initial=0.0))
            if abs(infinite - self.infinite) > max(away / CLIP, cells) / 2:
                return f"{self.name}: infinite {self.infinite:.1%} -> {infinite:.1%} ({known.infinite} of {known.rows})"
            if (by_value or away >= 0.05) and known.n:
                return f"{self.name}: mean {apart(self.mean, known.mean)}"
            labels, before, now = labels[:-1], before[:-1], now[:-1]
        far = np.abs(now - before) / np.sqrt(before * (1 - before) + 0.01)
        i = int(np.argmax(far))
        return f"{self.name}: {labels[i] or quoted('')} {before[i]:.1%} -> {now[i]:.1%}"

    def to_json(self) -> Json:
        return {
            "name": self.name,
            "map": self.map.to_json(),
            "shift": self.shift.to_json(),
            "mean": self.mean,
            "level": None if self.level is None else self.level.to_json(),
            "infinite": self.infinite,
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
            float(state.get("infinite", 0.0)),  # older states did not count them
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


def quoted(value: object) -> str:
    """A value for people: text in quotes, so that an empty one is seen; numbers and gaps as they are.

    >>> quoted(""), quoted("NL"), quoted("2.0"), quoted(40.0), quoted("missing")
    ("''", "'NL'", '2.0', '40.0', 'missing')
    """
    text = str(value)
    if text == "missing" or not isinstance(value, str):
        return text
    try:
        float(text)
    except ValueError:
        return repr(text)
    return text


def apart(before: float, now: float) -> str:
    """Two figures with as many digits as tell them apart, four at least.

    >>> apart(1.0, 2.5), apart(1152921.1, 1152943.2)
    ('1 -> 2.5', '1152921 -> 1152943')
    """
    digits = next((d for d in (4, 7, 10, 13) if f"{before:.{d}g}" != f"{now:.{d}g}"), 17)
    return f"{before:.{digits}g} -> {now:.{digits}g}"
