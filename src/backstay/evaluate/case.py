"""Answers and truths of one model on one set of rows: what every metric is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, FloatArray, IntArray
from backstay.maths.classification import correct


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Rows [n].

    Args:
        labels: true class positions; -1 for a class that the model does not know, -2 where no label is known.
        predicted: the model's class positions; -1 for an answer that is none of them.
        scores: probabilities [n, classes], None where the model gives none. embeddings: [n, d].
        groups: codes of rows that depend on each other.
        declines: the model may answer "none of these", which is right for a row of a class that it does not know.
        distances: from each row to the nearest example that the model holds [n], None where it holds none.
    """

    labels: IntArray
    predicted: IntArray
    scores: npt.NDArray[np.floating] | None
    embeddings: npt.NDArray[np.floating] | None
    groups: IntArray | None
    classes: tuple[str, ...]
    declines: bool = False
    distances: npt.NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        for name in ("predicted", "scores", "embeddings", "groups", "distances"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.labels):
                raise BackstayError(
                    f"{len(self.labels)} labels and {len(values)} {name}", fix="give one of each for every row"
                )
        for name in ("labels", "predicted"):
            highest = int(getattr(self, name).max(initial=-1))
            if highest >= max(len(self.classes), 1):
                raise BackstayError(
                    f"{name} hold class number {highest}, there are {len(self.classes)} classes",
                    fix="give positions in `classes`, -1 for a class that is not among them",
                )
        if self.scores is not None and self.scores.shape[1:] != (len(self.classes),):
            raise BackstayError(
                f"scores of shape {self.scores.shape} for {len(self.classes)} classes", fix="give one a class [n, k]"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def right(self) -> FloatArray:
        """1 where the answer is right, else 0 [n]."""
        return correct(self.labels, self.predicted, declines=self.declines)

    def take(self, chosen: AnyArray) -> Case:
        """The case of these rows (places or a mask)."""
        return Case(
            labels=self.labels[chosen],
            predicted=self.predicted[chosen],
            scores=None if self.scores is None else self.scores[chosen],
            embeddings=None if self.embeddings is None else self.embeddings[chosen],
            groups=None if self.groups is None else self.groups[chosen],
            classes=self.classes,
            declines=self.declines,
            distances=None if self.distances is None else self.distances[chosen],
        )
