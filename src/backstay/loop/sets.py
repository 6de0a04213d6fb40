"""What the monitor is told of answers that are sets of labels: which labels are said, and when a set is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from backstay.bundle.model import Outputs
from backstay.bundle.sets import members
from backstay.journal.rows import Rows
from backstay.maths.arrays import FloatArray
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

ANSWER = "a set of labels"


def one_word(rows: int) -> npt.NDArray[np.object_]:
    """What stands for the class where there is none."""
    return np.full(rows, ANSWER, dtype=object)


def with_members(reference: Reference, outputs: Outputs, labels: Sequence[str]) -> Reference:
    """The reference with the model's sets; a set is right where it is the true one, label for label."""
    return replace(reference, members=_table(outputs.labels, outputs.scores, labels), labels=tuple(labels))


def with_sets_of(window: WindowData, rows: Rows, reference: Reference) -> WindowData:
    """The window of a multi-label model: its answers as sets, and no scores that are those of classes."""
    if reference.members is None:
        return window
    said = _table(rows.predictions, rows.scores, reference.labels)
    return replace(window, predicted=one_word(len(rows)), scores=None, members=said)


def _table(
    texts: npt.NDArray[np.object_], scores: npt.NDArray[np.float32] | None, labels: Sequence[str]
) -> FloatArray | None:
    """Which labels are said and how likely each is [n, 2k]; None where the chances are not those of these labels."""
    if scores is None or scores.shape[1] != len(labels):
        return None
    return np.concatenate([members(texts, labels).astype(np.float64), scores.astype(np.float64)], axis=1)
