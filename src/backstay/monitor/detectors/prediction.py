"""Does the model answer differently? Shares of predicted classes and, where there are scores, how sure it is.

**Sees:** a class that swells, confidence that sinks, more rows that are "none of these" where the model may say so.
**Compares:** the answers of the window with those of reference rows that the model was not trained on.
**Statistic:** T = |window mean - reference mean|^2 in whitened coordinates, of one indicator a class and, where there
are scores, the score of each class, the confidence and the entropy. With scores and five classes or more there are two
tests, half the level each: one of all these, and one of confidence and entropy alone. In one test over 150 classes a
fall of confidence drowns: where the second finds it in 80 of 100 windows the first alone finds 7 (37 or 42 with ten
classes), while half the level costs the first 7 of 80. Of a regression the answers are tested as a column is by
`columns`; of sets of labels the share of each label and its mean chance, all in one test.
**Needs:** Answers. Nothing but predictions, better with scores; 50 reference rows, 20 independent rows a window.
**Promises:** of looks at unchanged traffic no more alarm than its level (its share of the budget over the looks of a
year) on average over references, and no more than 1.5 times that for 95 references of 100. Measured for classes,
numbers and sets with 1,000 reference rows and windows of 200: 0.18 to 0.42 of the level on average, 0.57 to 1.07 at
the 95th reference (docs/statistics/drift.md).
**Alarms for nothing:** where the mix of cases changed and the model is as good as ever: it says moved, and so it
should; and at a season that the reference lacks.
**Silent:** where inputs move and the answers do not, or the answers are wrong in another way and as often of each
class; without scores, where the model only becomes less sure.
**When it alarms:** read which class moved from what to what, and ask first whether the cases did: `columns` and
`embedding` beside it say so. If the mix of cases is the same, ask for labels of the class that swelled.
**Settings:** `predictions.score`, `predictions.scores` (of a model that lives elsewhere), `data.group`,
`watch.season`; `budget.weights`.
**Source:** ours, on the mean-shift test of docs/statistics/drift.md; reading outputs for a shift of the mix: Lipton,
Wang & Smola 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray, FloatArray, IntArray
from backstay.maths.meanshift import MeanShift, ShiftResult
from backstay.maths.predictions import PredictionMap
from backstay.maths.sketches.means import MeanSketch
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.numbers import NumbersDetector
from backstay.monitor.detectors.sets import SetsDetector
from backstay.monitor.detectors.verdict import (
    check,
    figures,
    more_rows,
    not_judged,
    slices,
    strength,
    too_few,
    witnesses,
)
from backstay.monitor.measures import Measures, map_key
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

NAME = "prediction"
# A share is told when it moved by more than this many standard errors.
TOLD = 3.0
MOST_TOLD = 5
# Of fewer classes the joint test sees a fall of confidence nearly as well.
MANY_CLASSES = 5
SHARE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class PredictionDetector:
    """Classes in order, the feature map of the model's answers, and the reference's mean with its error; of many
    classes the last two features, which say how sure the model is, once more by themselves."""

    classes: tuple[str, ...]
    map: PredictionMap
    shift: MeanShift
    spread: FloatArray
    sure: MeanShift | None = None

    @classmethod
    def fit(cls, reference: Reference) -> PredictionDetector | NumbersDetector | SetsDetector | None:
        """None for a model that has ever given one answer only, and no scores. Numbers are watched as a column, sets by
        the share of each label."""
        if reference.members is not None:
            return SetsDetector.fit(reference)
        if reference.numbers is not None:
            return NumbersDetector.fit(reference)
        reference = reference.unlearned()
        classes = reference.classes if reference.scores is not None else (*reference.classes, "(new class)")
        classes = (*classes, reference.none_label) if reference.none_label else classes
        if len(classes) < 2 or (reference.scores is None and len(set(reference.predicted)) < 2):
            return None
        map_ = PredictionMap(len(classes), scored=reference.scores is not None)
        features = map_.features(_codes(reference.predicted, classes), _padded(reference.scores, len(classes)))
        shift = MeanShift.fit(features, groups=reference.codes, whiten=True)
        sure = None
        if map_.scored and len(classes) >= MANY_CLASSES:
            sure = MeanShift.fit(features[:, map_.sure], groups=reference.codes, whiten=True)
        return cls(classes, map_, shift, features.std(axis=0), sure)

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Test the window; on an alarm say which classes and which scores moved."""
        why = too_few(self.shift, window)
        if why is not None:
            return not_judged(NAME, window, why), state
        sketch = self._sketch(window) if window.whole is None else window.whole.measures[NAME].means[NAME]
        tests = self._tests()
        alpha = look.alpha if len(tests) == 1 else SHARE * look.alpha
        results = [check(t.shift, t.of(sketch), window.codes, look, alpha) for t in tests]
        best = int(np.argmax([result.evidence for result in results]))
        test, result = tests[best], results[best]
        more, wanted = more_rows(test.shift, result, alpha)
        what = "the model answers differently" if result.alarm else "the model answers as before"
        signal = Signal(
            detector=NAME,
            evidence=result.evidence,
            alarm=result.alarm,
            alpha=look.alpha,
            n=window.rows,
            message=f"{what}: {strength(result.evidence)}{more}",
            moved=self._moved(sketch.mean, result.n_effective) if result.alarm else (),
            example_ids=self._examples(test, sketch, window) if result.alarm else (),
            figures={**figures(result), **_by_test(tests, results), **wanted},
        )
        return signal, state

    def _tests(self) -> tuple[_Test, ...]:
        whole = _Test("answers", self.shift, slice(None))
        return (whole,) if self.sure is None else (whole, _Test("sureness", self.sure, self.map.sure))

    def _examples(self, test: _Test, sketch: MeanSketch, window: WindowData) -> tuple[str, ...]:
        """Rows that show the change, by the features of the test that found it."""
        features = self._features(window)
        return witnesses(test.shift, test.of(sketch).mean, lambda rows: features(rows)[:, test.part], window)

    def measure(self, window: WindowData, before: Measures | None = None) -> Measures:
        """The sketch of the model's answers."""
        found = Measures(means={NAME: self._sketch(window)})
        return found if before is None else before.merge(found)

    def _sketch(self, window: WindowData) -> MeanSketch:
        total = np.zeros(self.shift.mean.size)
        for rows in slices(len(window)):
            counts = np.bincount(_codes(window.predicted[rows], self.classes), minlength=len(self.classes))
            total += self.map.sums(counts, self._scores(window, rows))
        return MeanSketch.of_sum(map_key(NAME, self.map), len(window), total)

    def _scores(self, window: WindowData, rows: slice) -> FloatArray | None:
        if window.scores is None or not self.map.scored:
            return None
        return _padded(np.asarray(window.scores[rows], np.float64), len(self.classes))

    def _features(self, window: WindowData) -> Callable[[slice], FloatArray]:
        return lambda rows: self.map.features(_codes(window.predicted[rows], self.classes), self._scores(window, rows))

    def _moved(self, now: FloatArray, n: float) -> tuple[str, ...]:
        """Classes and confidence by how many standard errors they moved, the strongest first."""
        before, classes = self.shift.mean, len(self.classes)
        errors = np.sqrt((self.spread**2 + 1e-6) * (1.0 / n + 1.0 / self.shift.n_effective))
        distance = np.abs(now - before) / errors
        told = [
            (float(distance[i]), f"answers {name!r}: {before[i]:.1%} -> {now[i]:.1%}")
            for i, name in enumerate(self.classes)
        ]
        if self.map.scored:
            sure = 2 * classes
            told.append((float(distance[sure]), f"mean confidence: {before[sure]:.3f} -> {now[sure]:.3f}"))
        strongest = sorted(told, reverse=True)
        return tuple(words for far, words in strongest if far >= TOLD)[:MOST_TOLD] or (strongest[0][1],)

    def to_json(self) -> Json:
        return {
            "classes": list(self.classes),
            "map": self.map.to_json(),
            "shift": self.shift.to_json(),
            "spread": self.spread.tolist(),
            "sure": None if self.sure is None else self.sure.to_json(),
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> PredictionDetector | NumbersDetector | SetsDetector:
        if "labels" in state:
            return SetsDetector.from_json(state)
        if "number" in state:
            return NumbersDetector.from_json(state)
        return cls(
            tuple(state["classes"]),
            PredictionMap.from_json(state["map"]),
            MeanShift.from_json(state["shift"]),
            np.asarray(state["spread"], dtype=np.float64),
            None if state["sure"] is None else MeanShift.from_json(state["sure"]),
        )


class _Test(NamedTuple):
    """A test of some of the features of the model's answers."""

    name: str
    shift: MeanShift
    part: slice

    def of(self, sketch: MeanSketch) -> MeanSketch:
        return MeanSketch.of_sum(f"{sketch.key}/{self.name}", sketch.n, sketch.sum[self.part])


def _by_test(tests: tuple[_Test, ...], results: list[ShiftResult]) -> Json:
    """What each test made of the window where there are two."""
    if len(tests) == 1:
        return {}
    return {f"evidence_{test.name}": result.evidence for test, result in zip(tests, results, strict=True)}


def _padded(scores: FloatArray | None, classes: int) -> FloatArray | None:
    """Scores with a column of noughts for "none of these", an answer that has no score."""
    if scores is None or scores.shape[1] != classes - 1:
        return scores
    return np.column_stack([scores, np.zeros(len(scores))])


def _codes(predicted: AnyArray, classes: tuple[str, ...]) -> IntArray:
    place = {name: code for code, name in enumerate(classes)}
    new = place.get("(new class)")
    codes = [place.get(answer if type(answer) is str else str(answer), new) for answer in predicted.tolist()]
    if None in codes:
        raise BackstayError(
            f"the model answers {predicted[codes.index(None)]!r}, a class that the reference does not know",
            fix="give a reference that names all classes",
        )
    return np.asarray(codes, dtype=np.int64)
