"""A trained encoder beside raw rows and beside itself untrained, under the same neighbours on the same rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from backstay.evaluate.case import Case
from backstay.evaluate.controls import raw_knn
from backstay.evaluate.paired import compare
from backstay.evaluate.runner import measure
from backstay.kernel.records import Comparison, Measurement
from backstay.maths.arrays import IntArray

METRIC = "knn_accuracy"
Embeddings = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class EncoderRows:
    """Embeddings of gallery rows [n, d] and of the gate rows [m, d], by the trained and the untrained encoder.

    Args:
        known: class positions of the gallery [n]; -1 for an unknown one, which has no vote.
    """

    known: IntArray
    trained: tuple[Embeddings, Embeddings]
    untrained: tuple[Embeddings, Embeddings]


def encoder_controls(
    rows: EncoderRows, raw: Case, *, k: int, data_id: str
) -> tuple[tuple[Measurement, ...], tuple[Comparison, ...]]:
    """kNN accuracy in the trained space, and its paired differences to raw rows and to the untrained space.

    Args:
        raw: answers of the same k neighbours among the same gallery of raw rows.
    """
    ours = _neighbours(rows.trained, rows.known, raw, k)
    measured = list(_named(ours, data_id, "model"))
    compared: list[Comparison] = []
    for name, control in {"raw_knn": raw, "random_encoder": _neighbours(rows.untrained, rows.known, raw, k)}.items():
        of = f"control:{name}"
        measured += _named(control, data_id, of)
        found = compare(ours, control, against=of, data_id=data_id, slices={})
        compared += [replace(c, metric=METRIC) for c in found if c.metric == "accuracy"]
    return tuple(measured), tuple(compared)


def _neighbours(space: tuple[Embeddings, Embeddings], known: IntArray, like: Case, k: int) -> Case:
    scores = raw_knn(space[0], known, space[1], k=k, classes=len(like.classes))
    return replace(like, predicted=scores.argmax(1), scores=scores)


def _named(case: Case, data_id: str, of: str) -> list[Measurement]:
    return [replace(m, metric=METRIC) for m in measure(case, data_id=data_id, slices={}, metrics=("accuracy",), of=of)]
