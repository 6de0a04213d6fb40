"""Which columns of a table moved? One mean-shift test a column, the level split evenly over them (Bonferroni).

Numbers are seen by tenths of the reference, common values, missing values and the value itself; categories by
their common values, others and missing. Wrong when: columns carry a season or a calendar that the reference
lacks. A column that was constant in the reference is tested by counting what differs from the constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray, FloatArray
from backstay.maths.columns import ColumnMap
from backstay.maths.intervals import exact_tail, upper_limit
from backstay.maths.meanshift import MeanShift, ShiftResult
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.verdict import check, more_rows, not_judged, strength, too_few, witnesses
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

NAME = "columns"
MOST_TOLD = 8
# The unseen rate of a value that n reference rows never held is at most its upper limit, for 95 references of 100.
CONSTANT_DELTA = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class _Varying:
    """A column with variation: feature map, reference mean and error, and (for numbers) its plain mean."""

    name: str
    map: ColumnMap
    shift: MeanShift
    mean: float | None

    def judge(self, window: WindowData, look: Look, alpha: float) -> tuple[ShiftResult, FloatArray]:
        features = self.map.features(window.columns[self.name])
        return check(self.shift, features, window, look, alpha), features

    def words(self, values: AnyArray, features: FloatArray) -> str:
        """What moved: the mean of a number, the share of a category or of missing values."""
        before, now = self.shift.mean, features.mean(axis=0)
        labels = self.map.labels
        missing = labels.index("(missing)")
        if self.mean is not None:
            if abs(now[missing] - before[missing]) > max(0.05, abs(now[-1] - before[-1]) / 2):
                return f"{self.name}: missing {before[missing]:.1%} -> {now[missing]:.1%}"
            known = values[np.isfinite(values)]
            mean = float(known.mean()) if len(known) else float("nan")
            if abs(now[-1] - before[-1]) >= 0.05:
                return f"{self.name}: mean {self.mean:.4g} -> {mean:.4g}"
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

    def judge(self, window: WindowData, alpha: float) -> tuple[float, bool, float]:
        """Evidence, alarm and the share of rows that differ."""
        differs = float(np.mean([_text(value) != self.value for value in window.columns[self.name]]))
        codes = window.codes
        rows = len(window) if codes is None else len(np.unique(codes))
        limit = upper_limit(0.0, self.n, CONSTANT_DELTA)
        needed = next(count for count in range(1, rows + 2) if count > rows or exact_tail(count, rows, limit) <= alpha)
        evidence = differs * rows / needed
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
        names = [*(part.name for part in self.varying), *(part.name for part in self.constant)]
        absent = [name for name in names if name not in window.columns]
        if absent:
            return not_judged(NAME, window, f"the window has no column {absent[0]!r}"), state
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
            n=len(window),
            message=f"{what}: {strength(strongest.evidence)}{more}",
            moved=tuple(found.words for found in alarms[:MOST_TOLD]),
            example_ids=alarms[0].examples if alarms else (),
            figures={
                "judged": True,
                "evidence_by_column": {found.name: found.evidence for found in judged},
                "alpha_by_column": alpha,
                **wanted,
            },
        )
        return signal, state

    def _judge(self, window: WindowData, look: Look, alpha: float) -> list[_Found]:
        found = []
        for part in self.varying:
            result, features = part.judge(window, look, alpha)
            words = part.words(window.columns[part.name], features) if result.alarm else ""
            examples = witnesses(part.shift, features, window) if result.alarm else ()
            found.append(_Found(part.name, result.evidence, result.alarm, words, examples, result))
        for always in self.constant:
            evidence, alarm, differs = always.judge(window, alpha)
            words = f"{always.name}: always {always.value} before, {differs:.1%} differ now"
            found.append(_Found(always.name, evidence, alarm, words, (), None))
        return found

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


@dataclass(frozen=True, slots=True)
class _Found:
    """What one column showed."""

    name: str
    evidence: float
    alarm: bool
    words: str
    examples: tuple[str, ...]
    result: ShiftResult | None


def _text(value: object) -> str:
    """A value as text; all missing values are one.

    >>> _text(None), _text(float("nan")), _text(2.0)
    ('missing', 'missing', '2.0')
    """
    return "missing" if value is None or value != value else str(value)
