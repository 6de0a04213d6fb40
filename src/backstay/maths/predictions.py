"""Features of a classifier's outputs, so that any change of what it says moves their mean.

One indicator for each predicted class and, where there are scores, the mean score of each class, the confidence
and the entropy (as a share of its maximum). Test them with `MeanShift.fit(..., whiten=True)`. A moved
prediction is not yet an error: the mix of cases may have changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import entr

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, IntArray, matrix


@dataclass(frozen=True, slots=True)
class PredictionMap:
    """The map for a classifier of `classes` classes, with or without scores.

    >>> PredictionMap(classes=2, scored=True).features(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]])).shape
    (2, 6)
    """

    classes: int
    scored: bool

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise BackstayError(f"a classifier of {self.classes} classes", fix="give the number of classes, 2 or more")

    @property
    def sure(self) -> slice:
        """Which of the features say how sure the model is: confidence and entropy; none without scores."""
        width = 2 * self.classes
        return slice(width, width + 2) if self.scored else slice(0, 0)

    def features(self, predicted: IntArray, scores: FloatArray | None = None) -> FloatArray:
        """Features [n, 2 * classes + 2] (or [n, classes] without scores) of predicted class codes [n]."""
        codes = np.asarray(predicted)
        if codes.ndim != 1 or len(codes) == 0 or codes.min() < 0 or codes.max() >= self.classes:
            raise BackstayError(
                f"predicted class codes outside 0 to {self.classes - 1}", fix="give the position of the class, by row"
            )
        hot = np.zeros((len(codes), self.classes))
        hot[np.arange(len(codes)), codes] = 1.0
        if not self.scored:
            return hot
        if scores is None:
            raise BackstayError("scores are missing where the reference had them", fix="log scores with predictions")
        table = matrix(scores, "scores")
        if table.shape != hot.shape:
            raise BackstayError(f"scores of shape {table.shape}", fix=f"give {self.classes} scores a row")
        entropy = np.sum(entr(np.clip(table, 0.0, 1.0)), axis=1) / np.log(self.classes)
        return np.column_stack([hot, table, table.max(axis=1), entropy])

    def sums(self, counts: IntArray, scores: FloatArray | None = None) -> FloatArray:
        """Column sums of `features`, from how often each class was predicted [classes] and the scores [n, classes].

        >>> PredictionMap(classes=2, scored=True).sums(np.array([1, 1]), np.array([[0.9, 0.1], [0.2, 0.8]])).round(3)
        array([1.   , 1.   , 1.1  , 0.9  , 1.7  , 1.191])
        """
        hot = np.asarray(counts, dtype=np.float64)
        if len(hot) != self.classes:
            raise BackstayError(f"counts of {len(hot)} classes", fix=f"give one for each of the {self.classes}")
        if not self.scored:
            return hot
        if scores is None:
            raise BackstayError("scores are missing where the reference had them", fix="log scores with predictions")
        table = matrix(scores, "scores")
        if table.shape != (int(hot.sum()), self.classes):
            raise BackstayError(f"scores of shape {table.shape}", fix=f"give {self.classes} scores a row")
        entropy = float(entr(np.clip(table, 0.0, 1.0)).sum()) / float(np.log(self.classes))
        return np.concatenate([hot, table.sum(axis=0), [table.max(axis=1).sum(), entropy]])

    def to_json(self) -> dict[str, Any]:
        return {"classes": self.classes, "scored": self.scored}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> PredictionMap:
        return PredictionMap(int(state["classes"]), bool(state["scored"]))
