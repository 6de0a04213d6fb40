"""What a fitted scikit-learn model answers, in the shape of a bundle's answers; and what its scores are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.model import label_texts
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Schema
from backstay.maths.arrays import FloatArray
from backstay.train.convert.frames import NUMERIC, frame_of
from backstay.train.convert.levels import level

CHANCES, DECISION, NUMBER, SETS, NOTHING = "predict_proba", "decision_function", "number", "sets", ""
REFUSALS = (ValueError, TypeError, IndexError, AttributeError, KeyError)
"""What scikit-learn raises at rows that it does not answer, by its classes."""
_STEEP = 8.0


@dataclass(frozen=True, slots=True)
class Asked:
    """Answers to some rows: class names [n] and scores [n, classes] where there are some, or numbers [n], or which
    labels are in the set [n, labels] with their scores.

    Args:
        level: where scikit-learn itself does not say what it answers [n], since neighbours are equally near.
    """

    labels: npt.NDArray[np.object_] | None = None
    scores: FloatArray | None = None
    numbers: FloatArray | None = None
    members: npt.NDArray[np.bool_] | None = None
    level: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """How a model is asked.

    Args:
        names: the columns that it reads, in its order.
        method: what its scores are made of: its chances, its decisions, or nothing; or that it answers a number, or
            sets of labels.
        scale: decisions are divided by it before the softmax, so that it does not say 1 of all rows alike.
    """

    model: Any
    names: tuple[str, ...]
    schema: Schema
    method: str
    scale: float = 1.0

    def __call__(self, table: pa.Table) -> Asked:
        """Its answers to these rows. Raises what scikit-learn raises."""
        given = frame_of(self.model, self.names, table, self.schema)
        return replace(self._answers(given, table), level=level(self.model, given))

    def _answers(self, given: Any, table: pa.Table) -> Asked:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.method == NUMBER:
                return Asked(numbers=self._numbers(given, table.num_rows))
            if self.method == SETS:
                return self._sets(given)
            labels = label_texts(np.asarray(self.model.predict(given)), ())
            if self.method == CHANCES:
                return Asked(labels, np.asarray(self.model.predict_proba(given), dtype=np.float64))
            if self.method == DECISION:
                return Asked(labels, softened(self.decisions(table), self.scale))
        return Asked(labels)

    def _numbers(self, given: Any, rows: int) -> FloatArray:
        found = np.asarray(self.model.predict(given), dtype=np.float64).reshape(rows, -1)
        if found.shape[1] != 1:
            raise BackstayError(
                f"{type(self.model).__name__} answers {found.shape[1]} numbers a row, and one is watched",
                fix="fit a model for each target, and adopt each in a project of its own",
            )
        return found[:, 0]

    def _sets(self, given: Any) -> Asked:
        said = self.model.predict(given)
        members = np.asarray(said.toarray() if hasattr(said, "toarray") else said).astype(np.bool_)
        if hasattr(self.model, CHANCES):
            found = self.model.predict_proba(given)
            scores = np.column_stack([one[:, 1] for one in found]) if isinstance(found, list) else np.asarray(found)
        else:
            scores = 1.0 / (1.0 + np.exp(-np.asarray(self.model.decision_function(given), dtype=np.float64)))
        return Asked(scores=scores, members=members)

    def decisions(self, table: pa.Table) -> FloatArray:
        """The decision function's values [n] or [n, classes]."""
        given = frame_of(self.model, self.names, table, self.schema)
        return np.asarray(self.model.decision_function(given), dtype=np.float64)


def needed(asking: Asking, rows: pa.Table, schema: Schema) -> tuple[str, ...]:
    """The columns of numbers of which a missing value makes the model raise an error. A graph cannot raise one; it
    answers nothing there, rather than a class or a number that the model would not have given."""
    numbers = [name for name in asking.names if schema.column(name).kind in NUMERIC]
    few = rows.slice(0, 2)
    if _answers_without(asking, few, numbers):
        return ()
    return tuple(name for name in numbers if not _answers_without(asking, few, [name]))


def _answers_without(asking: Asking, rows: pa.Table, names: Sequence[str]) -> bool:
    for name in names:
        place = rows.column_names.index(name)
        rows = rows.set_column(place, name, pa.nulls(rows.num_rows, pa.float64()))
    try:
        asking(rows)
    except REFUSALS:
        return False
    return True


def softened(decisions: FloatArray, scale: float) -> FloatArray:
    """The softmax [n, classes] of decisions over their scale: an order, not chances."""
    wide = decisions if decisions.ndim == 2 else np.column_stack([np.zeros_like(decisions), decisions])
    wide = wide / scale
    powers = np.exp(wide - wide.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def scale_of(decisions: FloatArray) -> float:
    """What decisions are divided by: nine of ten leads of these rows are then at most 8, whose sigmoid is 0.9997."""
    if decisions.ndim == 1:
        leads = np.abs(decisions)
    else:
        ordered = np.sort(decisions, axis=1)
        leads = ordered[:, -1] - ordered[:, -2]
    return max(1.0, float(np.quantile(leads, 0.9)) / _STEEP)
