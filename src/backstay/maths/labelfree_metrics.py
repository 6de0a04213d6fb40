"""F1, AUC, recall, precision and confusion entries without labels: what accuracy alone does not tell.

The chance of each class is calibrated on labelled reference rows, one Platt map a class on the logit of its score (bent
at three places where rows are enough), the rows weighted as the target has them; the chances are brought to a sum of
1. Labels are then drawn from them and the metric of those labels is computed, by the functions that the gate computes
it with. A draw of the interval resamples reference and target, refits density ratios and maps, and draws labels once:
so ratios such as F1 and ranks such as AUC need no formula of their own, and the chance in the labels is in the
interval.

Sources: Bialek et al. 2024 (PAPE), and its forms for several classes. Valid only while P(label | input) is unchanged;
refused where `labelfree` refuses. Trap: a metric of a rare class rests on the calibration of small chances, which a
few hundred reference rows do not fix: a class with fewer than ten reference rows is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit, logit

from backstay.kernel.errors import BackstayError
from backstay.maths import classification
from backstay.maths.arrays import AnyArray, FloatArray, IntArray, fraction, matrix, same_length
from backstay.maths.clusters import clusters
from backstay.maths.intervals import Bounds
from backstay.maths.labelfree import POWERS, bends, bent, calibrate, multiplicity, refusals, spanned
from backstay.maths.overlap import Overlap, measure_overlap

MOST_CLASSES = 10
LEAST_OF_A_CLASS = 10
LEAST_CHANCE = 1e-12
# Sets of labels whose mean is the estimate.
LABELLINGS = 40

METRICS = ("accuracy", "auc", "balanced_accuracy", "f1", "precision", "recall")


@dataclass(frozen=True, slots=True)
class Estimated:
    """A value with its interval."""

    value: float
    bounds: Bounds


@dataclass(frozen=True, slots=True, eq=False)
class LabelFreeMetrics:
    """Metrics by name, and confusion entries as shares of all rows [true, answered], with limits; or `reasons`."""

    reasons: tuple[str, ...]
    metrics: Mapping[str, Estimated] = field(default_factory=dict)
    confusion: FloatArray | None = None
    confusion_low: FloatArray | None = None
    confusion_high: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Rows of one sample: class scores [n, k], inputs [n, d], and groups of dependent rows."""

    scores: FloatArray
    inputs: FloatArray
    groups: AnyArray | None = None


def estimate_metrics(
    reference: Scored,
    truth: IntArray,
    target: Scored,
    answers: IntArray,
    names: tuple[str, ...],
    *,
    rng: np.random.Generator,
    draws: int = 100,
    level: float = 0.95,
) -> LabelFreeMetrics:
    """Estimate the metrics `names` of the target rows, whose answered class positions are `answers` [m].

    Args: `truth` [n] are the true class positions of reference rows that the model was not trained on. Inputs are
    embeddings, or raw columns on comparable scales.
    """
    known, live = _logits(reference.scores), _logits(target.scores)
    labels, given = np.asarray(truth, dtype=np.int64), np.asarray(answers, dtype=np.int64)
    same_length(known, labels, "reference scores and true classes")
    same_length(live, given, "target scores and answers")
    fraction(level, "the level")
    classes = known.shape[1]
    unknown = sorted(set(names) - set(METRICS))
    if unknown or live.shape[1] != classes or labels.min() < 0 or labels.max() >= classes:
        raise BackstayError(
            f"metrics {unknown}, or classes outside the {classes} scores", fix=f"ask for {', '.join(METRICS)}"
        )
    grouping, live_grouping = clusters(reference.groups, len(known)), clusters(target.groups, len(live))
    inputs, live_inputs = matrix(reference.inputs, "reference inputs"), matrix(target.inputs, "target inputs")
    overlap = measure_overlap(inputs, live_inputs, known.max(axis=1), live.max(axis=1), grouping, rng)
    reasons = (*refusals(len(known), len(live), overlap), *_rare(labels, classes))
    if reasons:
        return LabelFreeMetrics(reasons)
    model = _Model(known, labels, overlap)
    every = (np.ones(len(known)), np.ones(len(live)))
    starts, chances = model.fit(live, *every, 1.0, None)
    point = _Tally(given, target.scores, names)
    for _ in range(LABELLINGS):
        point.add(np.arange(len(live)), chances, rng)
    spread = _Tally(given, target.scores, names)
    for _ in range(draws):
        times, live_times = multiplicity(grouping, rng), multiplicity(live_grouping, rng)
        _, again = model.fit(live, times, live_times, rng.uniform(*POWERS), starts)
        spread.add(np.repeat(np.arange(len(live)), live_times.astype(np.int64)), again, rng)
    return _summed(point, spread, chances, level)


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """The labelled reference, and how much each of its rows resembles the target."""

    logits: FloatArray
    labels: IntArray
    overlap: Overlap

    def fit(
        self, live: FloatArray, times: FloatArray, live_times: FloatArray, power: float, starts: list[_Map] | None
    ) -> tuple[list[_Map], FloatArray]:
        """The maps of all classes, and the chance of each class for each target row [m, k]."""
        weights = times * self.overlap.weights(times, live_times, power)
        maps = _maps(self.logits, self.labels, weights, starts)
        return maps, _table(maps, live)


@dataclass(frozen=True, slots=True, eq=False)
class ClassChances:
    """The chance of each class from scores, by maps that were fitted on the reference once and for all."""

    maps: tuple[_Map, ...]

    @staticmethod
    def fit(scores: FloatArray, truth: IntArray) -> ClassChances:
        """From reference rows [n, k] that the model was not trained on, whose true class positions are `truth` [n].

        >>> made = ClassChances.fit(np.repeat([[.8, .2], [.2, .8]], 50, axis=0), np.repeat([0, 1], 50))
        >>> bool(made.of(np.array([[.8, .2]]))[0, 0] > .9)
        True
        """
        known, labels = _logits(scores), np.asarray(truth, dtype=np.int64)
        same_length(known, labels, "reference scores and true classes")
        return ClassChances(tuple(_maps(known, labels, np.ones(len(known)), None)))

    def of(self, scores: FloatArray) -> FloatArray:
        """[n, k], each row adding up to 1."""
        return _table(self.maps, _logits(scores))


@dataclass(frozen=True, slots=True, eq=False)
class _Map:
    """From the logit of a class's score to its chance: a line, and where it bends."""

    places: FloatArray
    beta: FloatArray

    def of(self, logits: FloatArray) -> FloatArray:
        return np.asarray(expit(bent(logits, self.places) @ self.beta))


def _maps(logits: FloatArray, labels: IntArray, weights: FloatArray, starts: list[_Map] | None) -> list[_Map]:
    """One map a class; of two classes that of the second alone."""
    classes = logits.shape[1]
    maps: list[_Map] = []
    for c in (1,) if classes == 2 else range(classes):
        outcome = (labels == c).astype(np.float64)
        start = None if starts is None else starts[len(maps)]
        places = bends(logits[:, c], outcome) if start is None else start.places
        beta = calibrate(bent(logits[:, c], places), outcome, weights, None if start is None else start.beta)
        maps.append(_Map(places, beta))
    return maps


def _table(maps: Sequence[_Map], live: FloatArray) -> FloatArray:
    """The chance of each class [m, k]."""
    first = live.shape[1] - len(maps)
    # Steep maps, of scores that differ by little, may call every class impossible where all scores are far lower.
    columns = [np.maximum(one.of(live[:, first + place]), LEAST_CHANCE) for place, one in enumerate(maps)]
    table = np.column_stack([1.0 - columns[0], columns[0]] if first else columns)
    return np.asarray(table / table.sum(axis=1, keepdims=True))


class _Tally:
    """Metrics and confusions of labels that were drawn from chances, draw by draw."""

    def __init__(self, answers: IntArray, scores: FloatArray, names: tuple[str, ...]) -> None:
        self.answers, self.scores, self.names = answers, scores, names
        self.values: dict[str, list[float]] = {name: [] for name in names}
        self.confusions: list[FloatArray] = []

    def add(self, rows: IntArray, chances: FloatArray, rng: np.random.Generator) -> None:
        """One set of labels for these rows (row numbers, repeated as resampled)."""
        classes = chances.shape[1]
        edges = np.cumsum(chances[rows], axis=1)
        labels = np.minimum((rng.random(len(rows))[:, None] > edges).sum(axis=1), classes - 1)
        answers, scores = self.answers[rows], self.scores[rows]
        for name in self.names:
            self.values[name].append(_metric(name, labels, answers, scores))
        within = answers >= 0
        counts = np.bincount(labels[within] * classes + answers[within], minlength=classes**2)
        self.confusions.append(counts.reshape(classes, classes) / len(rows))


def _summed(point: _Tally, spread: _Tally, chances: FloatArray, level: float) -> LabelFreeMetrics:
    """Means of the labellings with intervals from the draws; a metric that some draw cannot give is left out."""
    metrics = {}
    for name in point.names:
        once, again = np.asarray(point.values[name]), np.asarray(spread.values[name])
        if np.all(np.isfinite(once)) and np.all(np.isfinite(again)):
            value = float(once.mean())
            low, high = spanned(value, again, level)
            metrics[name] = Estimated(value, Bounds(max(0.0, low), min(1.0, high)))
    entries = np.stack(spread.confusions)
    shares = _expected(point.answers, chances)
    limits = [spanned(float(s), entries[:, i, j], level) for (i, j), s in np.ndenumerate(shares)]
    lowest = np.asarray([max(limit.low, 0.0) for limit in limits]).reshape(shares.shape)
    highest = np.asarray([min(limit.high, 1.0) for limit in limits]).reshape(shares.shape)
    return LabelFreeMetrics((), metrics, shares, lowest, highest)


def _metric(name: str, labels: IntArray, answers: IntArray, scores: FloatArray) -> float:
    if name == "accuracy":
        return classification.accuracy(labels, answers)
    if name == "auc":
        return classification.auc(labels, scores)
    by_class: dict[str, Callable[[IntArray, IntArray, int], float]] = {
        "balanced_accuracy": classification.balanced_accuracy,
        "f1": classification.f1,
        "precision": classification.precision,
        "recall": classification.recall,
    }
    return by_class[name](labels, answers, scores.shape[1])


def _expected(answers: IntArray, chances: FloatArray) -> FloatArray:
    """Share of rows by true and answered class [k, k]; rows that are answered with no known class are in none."""
    answered = (answers[:, None] == np.arange(chances.shape[1])).astype(np.float64)
    return np.asarray(chances.T @ answered / len(answers))


def _logits(scores: FloatArray) -> FloatArray:
    table = matrix(scores, "scores")
    if table.shape[1] < 2:
        raise BackstayError("one score a row", fix="give the score of every class [n, k]")
    return np.asarray(logit(np.clip(table, 1e-6, 1.0 - 1e-6)))


def _rare(labels: IntArray, classes: int) -> tuple[str, ...]:
    if classes > MOST_CLASSES:
        return (f"{classes} classes: metrics by class are estimated without labels for at most {MOST_CLASSES}",)
    fewest = int(np.bincount(labels, minlength=classes).min())
    if fewest >= LEAST_OF_A_CLASS:
        return ()
    return (f"a class has {fewest} labelled reference rows: at least {LEAST_OF_A_CLASS} are needed",)
