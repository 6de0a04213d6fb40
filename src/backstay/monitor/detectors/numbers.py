"""Do the numbers that a model answers move? The column test of `columns`, on the answers alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from backstay.kernel.records import Json, Signal
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.columns import ColumnsDetector
from backstay.monitor.detectors.verdict import not_judged
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

NAME = "prediction"
ANSWER = "the answer"


@dataclass(frozen=True, slots=True, eq=False)
class NumbersDetector:
    """A regression's answers as one column."""

    column: ColumnsDetector

    @classmethod
    def fit(cls, reference: Reference) -> NumbersDetector | None:
        """None for a model of classes."""
        reference = reference.unlearned()
        if reference.numbers is None:
            return None
        column = ColumnsDetector.fit(replace(reference, columns={ANSWER: reference.numbers}))
        return None if column is None else cls(column)

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Test the window's answers; on an alarm say how their mean moved."""
        if window.numbers is None:
            return not_judged(NAME, window, "the window's answers are no numbers"), state
        signal, state = self.column.look(state, replace(window, columns={ANSWER: window.numbers}), look)
        if not signal.figures.get("judged", True):
            return replace(signal, detector=NAME), state
        what = "the model's numbers moved" if signal.alarm else "the model answers as before"
        return replace(signal, detector=NAME, message=f"{what}: {signal.message.split(': ', 1)[-1]}"), state

    def to_json(self) -> Json:
        return {"number": self.column.to_json()}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> NumbersDetector:
        return cls(ColumnsDetector.from_json(state["number"]))
