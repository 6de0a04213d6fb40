"""Do the sets of labels that a model answers move? One mean-shift test on which labels are said and how likely each is.

The share of rows with each label and its mean chance, all labels in one test. It replaces the test of classes inside
`prediction`. Wrong when: the mix of cases changed and the model is as good as ever; then it says moved, as it should.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import FloatArray
from backstay.maths.meanshift import MeanShift
from backstay.maths.sketches.means import MeanSketch
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.verdict import check, figures, more_rows, not_judged, strength, too_few, witnesses
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

NAME = "prediction"
# A share or a chance is told when it moved by more than this many standard errors.
TOLD = 3.0
MOST_TOLD = 5


@dataclass(frozen=True, slots=True, eq=False)
class SetsDetector:
    """Labels in order, and the reference's mean of memberships and chances with its error."""

    labels: tuple[str, ...]
    shift: MeanShift
    spread: FloatArray

    @classmethod
    def fit(cls, reference: Reference) -> SetsDetector | None:
        """None for a model that answers one set of the same chances to every row, or no sets."""
        reference = reference.unlearned()
        if reference.members is None or not np.any(reference.members.std(axis=0) > 0.0):
            return None
        shift = MeanShift.fit(reference.members, groups=reference.codes, whiten=True)
        return cls(reference.labels, shift, reference.members.std(axis=0))

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Test the window; on an alarm say which labels moved."""
        said = window.members
        if said is None or said.shape[1] != self.spread.size:
            return not_judged(NAME, window, "the window's answers are not sets of these labels with chances"), state
        why = too_few(self.shift, window)
        if why is not None:
            return not_judged(NAME, window, why), state
        sketch = MeanSketch.of_sum(f"sets/{self.spread.size}", len(said), said.sum(axis=0))
        result = check(self.shift, sketch, window.codes, look, look.alpha)
        more, wanted = more_rows(self.shift, result, look.alpha)
        what = "the model answers other sets" if result.alarm else "the model answers as before"
        signal = Signal(
            detector=NAME,
            evidence=result.evidence,
            alarm=result.alarm,
            alpha=look.alpha,
            n=window.rows,
            message=f"{what}: {strength(result.evidence)}{more}",
            moved=self._moved(sketch.mean, result.n_effective) if result.alarm else (),
            example_ids=witnesses(self.shift, sketch.mean, lambda rows: said[rows], window) if result.alarm else (),
            figures={**figures(result), **wanted},
        )
        return signal, state

    def _moved(self, now: FloatArray, n: float) -> tuple[str, ...]:
        """Labels by how many standard errors they moved, the strongest first; a label's chance where its share did
        not."""
        before = self.shift.mean
        errors = np.sqrt((self.spread**2 + 1e-6) * (1.0 / n + 1.0 / self.shift.n_effective))
        distance = np.abs(now - before) / errors
        count = len(self.labels)
        told = []
        for place, name in enumerate(self.labels):
            chance = place + count
            words = f"{name!r} in the set: {before[place]:.1%} -> {now[place]:.1%}"
            if distance[place] < TOLD <= distance[chance]:
                words = f"mean chance of {name!r}: {before[chance]:.3f} -> {now[chance]:.3f}"
            told.append((float(max(distance[place], distance[chance])), words))
        strongest = sorted(told, reverse=True)
        return tuple(words for far, words in strongest if far >= TOLD)[:MOST_TOLD] or (strongest[0][1],)

    def to_json(self) -> Json:
        return {"labels": list(self.labels), "shift": self.shift.to_json(), "spread": self.spread.tolist()}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> SetsDetector:
        spread = np.asarray(state["spread"], dtype=np.float64)
        return cls(tuple(state["labels"]), MeanShift.from_json(state["shift"]), spread)
