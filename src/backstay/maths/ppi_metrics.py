"""Precision, recall, F1 and confusion entries from labels, with predictions to make the most of them.

Counts by class are shares of a share: `ppi_ratio` tells how they are estimated. The prediction of a count is the chance
of it by a fixed model of the classes (`labelfree_metrics.ClassChances`), fitted on the reference and never on these
labels. With two classes figures are of the second, the positive one; with more they are plain means over all classes,
as in `classification`. A class with fewer than five labelled rows that concern it is refused: what it adds to a mean
would be known by nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from backstay.maths.arrays import AnyArray, FloatArray, IntArray, same_length
from backstay.maths.intervals import Bounds, bernoulli_sequence
from backstay.maths.ppi_ratio import Counted, Foreseen, PpiRatio, mean_of, ppi_ratio

LEAST_OF_A_CLASS = 5
MOST_CLASSES = 10


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """Rows of one sample: answered class positions [n], -1 for none, and the chance of each class [n, k].

    `chances` is None where no model of the classes is known; scores [n, k] serve for ranks only.
    """

    answers: IntArray
    chances: FloatArray | None = None
    scores: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.answers)


@dataclass(frozen=True, slots=True)
class PpiMetric:
    """A figure in [`low`, `high`] by `n` labels with trust `lam` in predictions, or `reasons` why there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    lam: float = 0.0
    n: int = 0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PpiConfusion:
    """Shares of all rows by true class (first) and answer [k, k], with limits."""

    value: FloatArray
    low: FloatArray
    high: FloatArray


def ppi_metric(
    name: str,
    truth: IntArray,
    labelled: Answered,
    pool: Answered,
    classes: int,
    groups: AnyArray | None = None,
    level: float = 0.95,
) -> PpiMetric:
    """The metric `name` ("f1", "precision", "recall" or "balanced_accuracy") of the rows that `pool` stands for.

    Args: `truth` [n] true class positions of the labelled rows, -1 for a class that the model does not know.
    """
    same_length(truth, labelled.answers, "labels and answers")
    counts, told = _KINDS[name]
    wanted = _wanted(name, classes)
    reasons = _reasons(name, truth, labelled.answers, counts, wanted, classes)
    if reasons:
        return PpiMetric(n=len(truth), reasons=reasons)
    ratios = tuple(_ratio(counts, truth, labelled, pool, c, groups, level) for c in wanted)
    values = told(np.asarray([ratio.estimate for ratio in ratios]))
    limits = tuple(Bounds(*map(float, told(np.asarray([ratio.low, ratio.high])))) for ratio in ratios)
    low, high = limits[0] if len(ratios) == 1 else mean_of(ratios, values, limits)
    lam = float(np.mean([ratio.lam for ratio in ratios]))
    return PpiMetric(float(values.mean()), low, high, lam, len(truth))


def ppi_confusion(
    truth: IntArray,
    labelled: Answered,
    pool: Answered,
    classes: int,
    groups: AnyArray | None = None,
    level: float = 0.95,
) -> PpiConfusion | None:
    """Every entry of the confusion by itself: each interval has the level, all of them together have less.

    None of more than ten classes: a hundred entries are as many as anybody reads.
    """
    if classes > MOST_CLASSES:
        return None
    found = np.empty((3, classes, classes))
    for true, answer in np.ndindex(classes, classes):
        ratio = _ratio(_entry(answer), truth, labelled, pool, true, groups, level)
        found[:, true, answer] = ratio.estimate, ratio.low, ratio.high
    return PpiConfusion(*found)


def metric_sequence(name: str, truth: IntArray, answers: IntArray, classes: int, alpha: float = 0.05) -> Bounds | None:
    """Limits of the metric that hold after every label at once, from labels in any order of rows drawn at random.

    Given the rows of the whole the part is binomial: Robbins' mixture for each class at its share of `alpha`, and their
    mean. Predictions are left out: their worth would have to be known at every look, and they seldom shorten it by
    enough to pay for that (docs/statistics/estimates.md). None where `ppi_metric` gives reasons.
    """
    counts, told = _KINDS[name]
    wanted = _wanted(name, classes)
    if _reasons(name, truth, answers, counts, wanted, classes):
        return None
    sides = []
    for c in wanted:
        rows = _counted(counts, truth, answers, c)
        limits = bernoulli_sequence(float(rows.part.sum()), float(rows.whole.sum()), alpha / len(wanted))
        sides.append(told(np.asarray(limits)))
    return Bounds(*map(float, np.mean(sides, axis=0)))


def confusion_sequence(truth: IntArray, answers: IntArray, classes: int, alpha: float = 0.05) -> FloatArray:
    """Lower and upper limits [2, k, k] of each entry that hold after every label at once, from labels alone."""
    found = np.empty((2, classes, classes))
    for true, answer in np.ndindex(classes, classes):
        count = float(np.sum((truth == true) & (answers == answer)))
        found[:, true, answer] = bernoulli_sequence(count, len(truth), alpha)
    return found


# Part and whole of a class, from the chance of the class in each row (0 or 1 where it is known) and the answers.
_Counts = Callable[[FloatArray, IntArray, int], Counted]


def _f1(of_class: FloatArray, answers: IntArray, c: int) -> Counted:
    answered = (answers == c).astype(np.float64)
    return Counted(of_class * answered, answered + (1.0 - answered) * of_class)


def _recall(of_class: FloatArray, answers: IntArray, c: int) -> Counted:
    return Counted(of_class * (answers == c), of_class)


def _precision(of_class: FloatArray, answers: IntArray, c: int) -> Counted:
    answered = (answers == c).astype(np.float64)
    return Counted(of_class * answered, answered)


def _entry(answer: int) -> _Counts:
    return lambda of_class, answers, _: Counted(of_class * (answers == answer), np.ones(len(answers)))


def _wanted(name: str, classes: int) -> tuple[int, ...]:
    return (1,) if classes == 2 and name != "balanced_accuracy" else tuple(range(classes))


def _same(ratio: FloatArray) -> FloatArray:
    return ratio


def _from_jaccard(ratio: FloatArray) -> FloatArray:
    return np.asarray(2.0 * ratio / (1.0 + ratio))


_KINDS: dict[str, tuple[_Counts, Callable[[FloatArray], FloatArray]]] = {
    "balanced_accuracy": (_recall, _same),
    "f1": (_f1, _from_jaccard),
    "precision": (_precision, _same),
    "recall": (_recall, _same),
}
COUNTED = tuple(sorted(_KINDS))


def _ratio(
    counts: _Counts,
    truth: IntArray,
    labelled: Answered,
    pool: Answered,
    c: int,
    groups: AnyArray | None,
    level: float,
) -> PpiRatio:
    foreseen = None
    if labelled.chances is not None and pool.chances is not None and len(pool):
        foreseen = Foreseen(
            counts(labelled.chances[:, c], labelled.answers, c), counts(pool.chances[:, c], pool.answers, c)
        )
    return ppi_ratio(_counted(counts, truth, labelled.answers, c), foreseen, groups, level)


def _counted(counts: _Counts, truth: IntArray, answers: IntArray, c: int) -> Counted:
    return counts((truth == c).astype(np.float64), answers, c)


def _reasons(
    name: str, truth: IntArray, answers: IntArray, counts: _Counts, wanted: tuple[int, ...], classes: int
) -> tuple[str, ...]:
    if classes > MOST_CLASSES:
        return (f"{classes} classes: metrics by class are estimated from labels for at most {MOST_CLASSES}",)
    unknown = int((truth < 0).sum())
    if len(wanted) > 1 and unknown:
        return (f"{unknown} labels are of classes that the model does not know: {name} is a mean over those it knows",)
    of_each = [float(_counted(counts, truth, answers, c).whole.sum()) for c in wanted]
    if len(wanted) > 1:
        # A class of which no row was labelled counts in the mean of some windows and not of others.
        of_each += [float((truth == c).sum()) for c in wanted]
    fewest = int(min(of_each))
    if fewest >= LEAST_OF_A_CLASS:
        return ()
    return (f"a class has {fewest} labelled rows that tell its {name}: at least {LEAST_OF_A_CLASS} are needed",)
