"""Mistakes weighed by how sure the model was: the test for labels that have come to mean something else.

If one label in so many (e) is another one than before, whatever the input, an answer that was wrong with chance q is
wrong with chance (1 - e) q + e (1 - q / (k - 1)), for k classes. The likelihood ratio of the two is 1 + e (h - 1), with

    wrong:  h = (1 - q / (k - 1)) / q            right:  h = q / ((k - 1) (1 - q))

so h - 1 is the score of e at nought (Rao 1948: the locally most powerful test), and what a mistake weighs in the best
test against a given e is the log ratio of a wrong answer less that of a right one: b = 2.5 at q = .01, 0 at q = .5 of
two classes. Noise of labels of this kind: Angluin & Laird 1988.

q is not what scores promise but how often the model was wrong on *reference* rows as sure as this one: rows in cells of
equal numbers by their top score. So a model that is overconfident is not taken at its word, and a change of the mix of
inputs, which brings other numbers of sure and unsure answers, moves nothing: the test is conditional on the cells of
the labelled rows. Within a cell, inputs that became harder at the same score do count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, BoolArray, FloatArray, IntArray, indicators, same_length, vector
from backstay.maths.clusters import clusters, effective_size
from backstay.maths.labelfree import predict_correct

LEAST_ROWS = 200
CELLS, LEAST_IN_CELL = 8, 60
# No answer is taken to be surer than this: the tail of a score is where its calibration is known least.
LEAST_WRONG = 0.01
# Below this chance of being wrong the model counts as sure, in words only.
SURE = 0.1
# What mistakes are weighed against: one label in ten is another one. The weights of .03 and .3 find nearly as much.
TURNED = 0.1
# Points of the weighted count of mistakes: 20 to a unit of log odds, fewer where labels are very many.
RESOLUTION, MOST_POINTS = 20.0, 200_000
# Days that are taken to have been neither good nor bad before any was seen: with fewer, labels that come one or two a
# day look uneven by chance, and an alarm waits for nothing.
TAKEN_FOR_EVEN = 40.0


@dataclass(frozen=True, slots=True, eq=False)
class Surprise:
    """How often a model was wrong on reference rows, by how sure it was.

    Args:
        cuts: top scores [m - 1] that part the m cells, the surest last.
        rows: independent reference rows of each cell [m]. wrong: mistakes among them.
        weights: what a mistake in each cell weighs [m], in log odds; from a smooth calibration, so that the luck of a
            cell does not choose its weight.
        classes: k.
    """

    cuts: FloatArray
    rows: FloatArray
    wrong: FloatArray
    weights: FloatArray
    classes: int

    @staticmethod
    def fit(scores: FloatArray, correct: FloatArray, groups: AnyArray | None = None) -> Surprise:
        """From scores [n, k] of reference rows, whether the answers were right [n], and what rows share."""
        table, right = np.asarray(scores, dtype=np.float64), indicators(correct, "correctness")
        same_length(table, right, "scores and correctness")
        if table.ndim != 2 or table.shape[1] < 2 or len(table) < LEAST_ROWS:
            raise BackstayError(
                f"{len(table)} reference rows with scores of which it is known whether the model was right",
                fix=f"give {LEAST_ROWS} or more, with scores for two classes or more",
            )
        top = table.max(axis=1)
        cells = int(np.clip(len(top) // LEAST_IN_CELL, 3, CELLS))
        cuts = np.unique(np.quantile(top, np.arange(1, cells) / cells, method="lower"))
        cuts = cuts[cuts < top.max()]
        place = np.searchsorted(cuts, top, side="left")
        rows = np.bincount(place).astype(np.float64)
        smooth = np.asarray(np.bincount(place, weights=1.0 - predict_correct(table, right, table)) / rows, np.float64)
        weights = _log_odds(np.clip(smooth, LEAST_WRONG, 0.9), table.shape[1])
        share = effective_size(weights[place] * (1.0 - right), clusters(groups, len(top))) / len(top)
        counted = np.asarray(np.bincount(place, weights=1.0 - right), np.float64)
        return Surprise(cuts, rows * share, counted * share, weights, table.shape[1])

    def cells(self, top: FloatArray) -> IntArray:
        """The cell of each top score [n]."""
        return np.searchsorted(self.cuts, vector(top, "top scores"), side="left")

    @property
    def usual(self) -> FloatArray:
        """How often the model is wrong by cell [m], as far as the reference tells."""
        return np.maximum((self.wrong + 0.5) / (self.rows + 1.0), LEAST_WRONG)

    @property
    def sure(self) -> BoolArray:
        """The cells [m] where fewer than one answer in ten is wrong, and the surest one."""
        least = _log_odds(np.array([SURE]), self.classes)
        return np.asarray((self.weights >= least) | (np.arange(len(self.weights)) == len(self.weights) - 1))

    def accepted(self, seen: FloatArray, delta: float, tolerance: float = 0.0) -> FloatArray:
        """How often the model may be wrong by cell [m], before it counts as a change.

        The luck of the reference is allowed for where it hurts most: along the direction in which the weighted
        mistakes among labels `seen` [m] are least certain, up to their upper limit at `delta` (.5: none is allowed
        for). Then so many labels may be slips as make accuracy fall by `tolerance`, whatever the input.
        """
        usual = self.usual
        variance = usual * (1.0 - usual) / np.maximum(self.rows, 1.0)
        pull = seen * self.weights
        length = float(np.sqrt(np.sum(pull**2 * variance)))
        step = np.zeros_like(usual) if length == 0.0 else -float(ndtri(delta)) * pull * variance / length
        limit = np.minimum(usual + step, 1.0)
        guessing = self.classes / (self.classes - 1.0)
        gap = max(1.0 - float(self.wrong.sum() / self.rows.sum()) * guessing, 0.1)
        slips = min(tolerance / gap, 0.5)
        return np.clip(limit + slips * np.maximum(1.0 - limit * guessing, 0.0), LEAST_WRONG, 1.0 - LEAST_WRONG)

    def to_json(self) -> dict[str, Any]:
        parts = {name: getattr(self, name).tolist() for name in ("cuts", "rows", "wrong", "weights")}
        return {**parts, "classes": self.classes}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Surprise:
        parts = [np.asarray(state[name], dtype=np.float64) for name in ("cuts", "rows", "wrong", "weights")]
        return Surprise(parts[0], parts[1], parts[2], parts[3], int(state["classes"]))


def ratios(accepted: FloatArray, classes: int) -> tuple[FloatArray, FloatArray]:
    """h of a right and of a wrong answer by cell; 1 and 1 where the model does no better than guessing.

    >>> right, wrong = ratios(np.array([0.1, 0.5]), 2)
    >>> [round(float(value), 3) for value in (*right, *wrong)]
    [0.111, 1.0, 9.0, 1.0]
    """
    others = accepted / (classes - 1.0)
    right, wrong = others / (1.0 - accepted), (1.0 - others) / accepted
    telling = wrong > right
    return np.where(telling, right, 1.0), np.where(telling, wrong, 1.0)


def chance_of_as_many(seen: IntArray, wrong: IntArray, accepted: FloatArray, weights: FloatArray) -> float:
    """P(weighted mistakes at least as many as these), by cell [m] of labels seen, wrong, and accepted: exact.

    The characteristic function of the sum of binomials, turned back on the grid of whole points.

    >>> cell, weight = np.array([0.5]), np.array([1.0])
    >>> round(chance_of_as_many(np.array([5]), np.array([5]), cell, weight), 5)
    0.03125
    """
    points = mistake_points(seen, weights)
    mistakes = int(wrong @ points)
    return 1.0 if mistakes == 0 else float(np.clip(tails(seen, accepted, points)[mistakes], 1e-12, 1.0))


def mistake_points(seen: IntArray, weights: FloatArray) -> IntArray:
    """Weights in whole points [m], so that sums of them lie on a grid; a coarser one where labels are very many."""
    most = float(seen @ weights)
    return np.round(weights * min(RESOLUTION, MOST_POINTS / max(most, 1.0))).astype(np.int64)


def tails(seen: IntArray, chances: FloatArray, points: IntArray) -> FloatArray:
    """P(points of mistakes at least t) for every t that may be [seen @ points + 1], by chances of a mistake [m]."""
    places = np.arange(int(seen @ points) + 1)
    turns = np.exp(2j * np.pi * places / len(places))
    total = np.ones(len(places), dtype=np.complex128)
    for count, chance, point in zip(seen, chances, points, strict=True):
        if count > 0 and point > 0:
            total *= (1.0 - chance + chance * turns[places * point % len(places)]) ** count
    found = np.fft.fft(total).real / len(places)
    return np.asarray(np.cumsum(found[::-1])[::-1], np.float64)


class Spread(NamedTuple):
    """How much more labels differ from day to day than within days: sums of squares and degrees of freedom of both.

    Good and bad days make mistakes come together, and a sum of them differ by more than independent ones would. The
    ratio of the two mean squares is by how much its variance is larger. A change that lasts moves neither much.

    >>> rng = np.random.default_rng(6)
    >>> days = np.repeat(np.arange(40), 25)
    >>> even, uneven = rng.random(1000) < 0.1, rng.random(1000) < np.where(days % 2, 0.02, 0.18)
    >>> [round(Spread().add(days, wrong.astype(float)).factor, 1) for wrong in (even, uneven)]
    [1.0, 1.8]
    """

    between: float = 0.0
    between_df: float = 0.0
    within: float = 0.0
    within_df: float = 0.0

    def add(self, days: AnyArray, values: FloatArray) -> Spread:
        """The spread with the labels of one more look: the day of each and what its mistake weighs [n]."""
        if len(values) == 0:
            return self
        _, codes, counts = np.unique(days, return_inverse=True, return_counts=True)
        means = np.bincount(codes.reshape(-1), weights=values) / counts
        return Spread(
            self.between + float(counts @ (means - values.mean()) ** 2),
            self.between_df + len(counts) - 1.0,
            self.within + float(np.sum((values - means[codes.reshape(-1)]) ** 2)),
            self.within_df + float(len(values) - len(counts)),
        )

    @property
    def factor(self) -> float:
        """Variance of a sum over that of independent labels, at least 1; drawn towards 1 while few days are known."""
        if self.within <= 0.0 or self.within_df <= 0.0:
            return 1.0
        ratio = self.between / (self.within / self.within_df)
        return max((ratio + TAKEN_FOR_EVEN) / (self.between_df + TAKEN_FOR_EVEN), 1.0)

    def spread(self, chance: float) -> float:
        """The tail probability of independent labels as one of labels that come together: larger below one half."""
        return chance if chance >= 0.5 else float(ndtr(ndtri(chance) / np.sqrt(self.factor)))


def _log_odds(wrong: FloatArray, classes: int) -> FloatArray:
    """Log likelihood ratio of a wrong answer less that of a right one, where `TURNED` of the labels are others."""
    right_ratio, wrong_ratio = ratios(wrong, classes)
    weights = np.log1p(TURNED * (wrong_ratio - 1.0)) - np.log1p(TURNED * (right_ratio - 1.0))
    return np.asarray(weights, np.float64)
