"""Which columns of a table moved? One mean-shift test a column, the level split evenly over them (Bonferroni).

Numbers are seen by tenths of the reference, common values, missing values and the value itself; categories by
their common values, others and missing. Wrong when: columns carry a season or a calendar that the reference
lacks. A column that was constant in the reference is tested by counting what differs from the constant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray, FloatArray
from backstay.maths.columns import ColumnMap
from backstay.maths.meanshift import MeanShift, ShiftResult
from backstay.maths.sketches.means import MeanSketch
from backstay.maths.sketches.moments import Moments
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.rates import Share
from backstay.monitor.detectors.verdict import check, more_rows, not_judged, strength, too_few, witnesses
from backstay.monitor.measures import Measures, map_key
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

NAME = "columns"
MOST_TOLD = 8


@dataclass(frozen=True, slots=True, eq=False)
class _Varying:
    """A column with variation: feature map, reference mean and error, and (for numbers) its plain mean."""

    name: str
    map: ColumnMap
    shift: MeanShift
    mean: float | None

    def sketch(self, values: AnyArray) -> MeanSketch:
        return MeanSketch.of_sum(map_key("column", self.map), len(values), self.map.sums(values))

    def words(self, now: FloatArray, plain: float) -> str:
        """What moved: the mean of a number (`plain` is it now), the share of a category or of missing values."""
        before = self.shift.mean
        labels = self.map.labels
        missing = labels.index("(missing)")
        if self.mean is not None:
            if abs(now[missing] - before[missing]) > max(0.05, abs(now[-1] - before[-1]) / 2):
                return f"{self.name}: missing {before[missing]:.1%} -> {now[missing]:.1%}"
            if abs(now[-1] - before[-1]) >= 0.05:
                return f"{self.name}: mean {self.mean:.4g} -> {plain:.4g}"
            labels, before, now = labels[:-1], before[:-1], now[:-1]
        far = np.abs(now - before) / np.sqrt(before * (1 - before) + 0.01)
        i = int(np.argmax(far))
        return f"{self.name}: {labels[i]} {before[i]:.1%} -> {now[i]:.1%}"

    def to_json(self) -> Json:
        return {"name": self.name, "map": self.map.to_json(), "shift": self.shift.to_json(), "mean": self.mean}


@dataclass(frozen=True, slots=True)
class _Constant:
    """A column that held one value (text form) in `n` effective reference rows."""

    name: str
    value: str
    n: float

    def sketch(self, values: AnyArray) -> MeanSketch:
        """How many rows differ from the constant."""
        return MeanSketch.of_sum("constant/1", len(values), np.array([float(self._differing(values))]))

    def _differing(self, values: AnyArray) -> int:
        if values.dtype.kind != "f":
            return len(values) - Counter(map(_text, values.tolist()))[self.value]
        if self.value == "missing":
            return int(np.count_nonzero(~np.isnan(values)))
        return int(np.count_nonzero(values != float(self.value)))

    def judge(self, sketch: MeanSketch, codes: AnyArray | None, alpha: float) -> tuple[float, bool, float]:
        """Evidence, alarm and the share of rows that differ."""
        differs = float(sketch.mean[0])
        rows = sketch.n if codes is None else len(np.unique(codes))
        evidence = Share(0.0, self.n).evidence(Share(differs * rows, float(rows)), alpha)
        return evidence, evidence >= 1.0, differs

    def to_json(self) -> Json:
        return {"name": self.name, "value": self.value, "n": self.n}


@dataclass(frozen=True, slots=True, eq=False)
class ColumnsDetector:
    """All columns of the table, fitted one by one."""

    varying: tuple[_Varying, ...]
    constant: tuple[_Constant, ...]

    @classmethod
    def fit(cls, reference: Reference) -> ColumnsDetector | None:
        """None for a reference without columns (images, bare predictions)."""
        if not reference.columns:
            return None
        varying: list[_Varying] = []
        constant: list[_Constant] = []
        codes = reference.codes
        rows = len(reference) if codes is None else len(np.unique(codes))
        for name, values in reference.columns.items():
            first = _text(values[0])
            if all(_text(value) == first for value in values):
                constant.append(_Constant(name, first, float(rows)))
                continue
            map_ = ColumnMap.fit(values)
            shift = MeanShift.fit(map_.features(values), groups=codes, whiten=True)
            known = values[np.isfinite(values)] if values.dtype.kind == "f" else None
            mean = None if known is None or len(known) == 0 else float(known.mean())
            varying.append(_Varying(name, map_, shift, mean))
        return cls(tuple(varying), tuple(constant))

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Test every column; the evidence is that of the strongest, `moved` names all that alarm."""
        names = self.names
        if window.whole is None:
            absent = self._absent(window)
            if absent is not None:
                return not_judged(NAME, window, absent), state
        why = next(filter(None, (too_few(part.shift, window) for part in self.varying)), None)
        if why is not None:
            return not_judged(NAME, window, why), state
        alpha = look.alpha / len(names)
        judged = self._judge(window, look, alpha)
        more, wanted = self._more_rows(judged, alpha)
        strongest = max(judged, key=lambda found: found.evidence)
        alarms = sorted((found for found in judged if found.alarm), key=lambda found: -found.evidence)
        what = (
            f"{len(alarms)} of {len(names)} columns moved: {', '.join(found.name for found in alarms[:MOST_TOLD])}"
            if alarms
            else f"none of {len(names)} columns moved, the nearest is {strongest.name!r}"
        )
        signal = Signal(
            detector=NAME,
            evidence=strongest.evidence,
            alarm=bool(alarms),
            alpha=look.alpha,
            n=window.rows,
            message=f"{what}: {strength(strongest.evidence)}{more}",
            moved=tuple(found.words for found in alarms[:MOST_TOLD]),
            example_ids=self._examples(alarms[0], window) if alarms else (),
            figures={
                "judged": True,
                "evidence_by_column": {found.name: found.evidence for found in judged},
                "alpha_by_column": alpha,
                **wanted,
            },
        )
        return signal, state

    @property
    def names(self) -> list[str]:
        return [*(part.name for part in self.varying), *(part.name for part in self.constant)]

    def _absent(self, window: WindowData) -> str | None:
        name = next((name for name in self.names if name not in window.columns), None)
        return None if name is None else f"the window has no column {name!r}"

    def measure(self, window: WindowData, before: Measures | None = None) -> Measures:
        """Sketches of every column: all that the test reads, and the plain means that it tells."""
        absent = self._absent(window)
        if absent is not None:
            raise BackstayError(absent, fix="log all columns that the reference has")
        parts: tuple[_Varying | _Constant, ...] = (*self.varying, *self.constant)
        numbers = [part.name for part in self.varying if part.mean is not None]
        found = Measures(
            means={part.name: part.sketch(window.columns[part.name]) for part in parts},
            moments={name: Moments.of(window.columns[name]) for name in numbers},
        )
        return found if before is None else before.merge(found)

    def _judge(self, window: WindowData, look: Look, alpha: float) -> list[_Found]:
        found = []
        whole = None if window.whole is None else window.whole.measures[NAME]
        codes = window.codes
        for part in self.varying:
            sketch = part.sketch(window.columns[part.name]) if whole is None else whole.means[part.name]
            result = check(part.shift, sketch, codes, look, alpha)
            words = part.words(sketch.mean, self._plain(part, window)) if result.alarm else ""
            found.append(_Found(part.name, result.evidence, result.alarm, words, sketch.mean, result))
        for always in self.constant:
            sketch = always.sketch(window.columns[always.name]) if whole is None else whole.means[always.name]
            evidence, alarm, differs = always.judge(sketch, codes, alpha)
            words = f"{always.name}: always {always.value} before, {differs:.1%} differ now"
            found.append(_Found(always.name, evidence, alarm, words, sketch.mean, None))
        return found

    @staticmethod
    def _plain(part: _Varying, window: WindowData) -> float:
        """The mean of a number's finite values; NaN without any."""
        if part.mean is None:
            return float("nan")
        if window.whole is not None:
            known = window.whole.measures[NAME].moments[part.name]
        else:
            known = Moments.of(window.columns[part.name])
        return known.mean if known.n else float("nan")

    def _examples(self, found: _Found, window: WindowData) -> tuple[str, ...]:
        """Rows that show the change of the column that moved most, of those that are at hand."""
        part = next((part for part in self.varying if part.name == found.name), None)
        if part is None or found.name not in window.columns:
            return ()
        values = window.columns[found.name]
        return witnesses(part.shift, found.mean, lambda rows: part.map.features(values[rows]), window)

    def _more_rows(self, judged: list[_Found], alpha: float) -> tuple[str, Json]:
        """What the column asks for whose threshold the small reference inflates most."""
        results = [
            (part.shift, found.result) for part, found in zip(self.varying, judged, strict=False) if found.result
        ]
        if not results:
            return "", {}
        shift, result = max(results, key=lambda pair: pair[1].inflation)
        return more_rows(shift, result, alpha)

    def to_json(self) -> Json:
        return {
            "varying": [part.to_json() for part in self.varying],
            "constant": [part.to_json() for part in self.constant],
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> ColumnsDetector:
        varying = tuple(
            _Varying(
                str(part["name"]),
                ColumnMap.from_json(part["map"]),
                MeanShift.from_json(part["shift"]),
                None if part["mean"] is None else float(part["mean"]),
            )
            for part in state["varying"]
        )
        constant = tuple(_Constant(str(c["name"]), str(c["value"]), float(c["n"])) for c in state["constant"])
        return cls(varying, constant)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What one column showed."""

    name: str
    evidence: float
    alarm: bool
    words: str
    mean: FloatArray
    result: ShiftResult | None


def _text(value: object) -> str:
    """A value as text; all missing values are one.

    >>> _text(None), _text(float("nan")), _text(2.0)
    ('missing', 'missing', '2.0')
    """
    return "missing" if value is None or value != value else str(value)
