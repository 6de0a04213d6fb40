"""What the monitor is told of answers that are numbers: when one counts as right, and how far each is off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.numbers import parsed, target_values
from backstay.journal.rows import Rows
from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import BoolArray, FloatArray
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import LabelledRow, WindowData

ANSWER = "a number"
SHARE = 0.9
FEWEST = 20


def one_word(rows: int) -> npt.NDArray[np.object_]:
    """What stands for the class where there is none."""
    return np.full(rows, ANSWER, dtype=object)


def gaps_of(target: pa.ChunkedArray, name: str, answers: FloatArray) -> FloatArray:
    """How far each answer is from the truth [n], infinite where either is no number."""
    gaps = np.abs(answers - target_values(target, name))
    return np.where(np.isfinite(gaps), gaps, np.inf)


def right_within(
    target: pa.ChunkedArray, name: str, answers: FloatArray, judged: BoolArray
) -> tuple[FloatArray, float]:
    """1 where an answer is near enough to the truth, 0 where not, NaN where not judged [n]; and how near that is.

    Near enough is what nine in ten of the judged reference rows are. The share beyond an order statistic of n rows is
    distributed as the exact (Clopper-Pearson) bounds of that share say, so that these hold although the limit was
    taken from the same rows. An answer that is no number is wrong.
    """
    gaps = gaps_of(target, name, answers)
    if int(judged.sum()) < FEWEST:
        raise BackstayError(
            f"{int(judged.sum())} labelled reference rows that the model has not learned from say too little of a "
            "number's error",
            fix=f"give {FEWEST} or more",
        )
    ordered = np.sort(gaps[judged])
    limit = float(ordered[int(np.ceil(SHARE * len(ordered))) - 1])
    if not np.isfinite(limit):
        raise BackstayError("the model answers no number on many reference rows", fix="look at its inputs")
    return np.where(judged, (gaps <= limit).astype(np.float64), np.nan), limit


def with_numbers_of(window: WindowData, rows: Rows, reference: Reference) -> WindowData:
    """The window of a regression: its answers as numbers."""
    if reference.limit is None:
        return window
    return replace(window, predicted=one_word(len(rows)), numbers=parsed(rows.predictions))


def measured(row: LabelledRow, limit: float | None) -> LabelledRow | None:
    """A labelled answer with how far it is off; None for a label that is no number. Of classes the row as it is."""
    if limit is None:
        return row
    truth, answer = parsed([row.label.value, row.predicted])
    if np.isnan(truth):
        return None
    return replace(row, error=float("inf") if np.isnan(answer) else abs(float(answer - truth)), limit=limit)
