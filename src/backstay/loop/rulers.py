"""What a model is judged by where it is measured beside others by one figure: accuracy of classes, mean absolute error
of numbers, micro F1 of sets of labels. Each with its control, the nearest raw rows, on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from backstay.bundle.model import Model
from backstay.bundle.numbers import target_values
from backstay.bundle.sets import members
from backstay.evaluate.case import Case
from backstay.evaluate.paired import compare
from backstay.evaluate.runner import measure
from backstay.evaluate.sets import SetCase, compare_sets, measure_sets
from backstay.evaluate.values import ValueCase, compare_values, measure_values
from backstay.kernel.records import Comparison, Measurement
from backstay.loop import class_gating, set_gating, value_gating
from backstay.loop.examples import groups_of, target_of, texts
from backstay.loop.gate_case import GateRows, case
from backstay.maths.arrays import BoolArray, FloatArray

CONTROL = "raw_knn"
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ruler:
    """One kind of answer.

    Args:
        metric: the figure, as evaluate names it.
        answered: a model's answers to rows, beside the truth; `names` are all labels that sets are judged on.
        beside: what the nearest raw rows of these training rows answer to the same rows.
        measured, compared: of evaluate.
        lost: a difference in words, as what is lost.
    """

    metric: str
    answered: Callable[[Model, GateRows, Names], Any]
    beside: Callable[[Model, GateRows, Names, pa.Table], Any]
    measured: Callable[..., tuple[Measurement, ...]]
    compared: Callable[..., tuple[Comparison, ...]]
    lost: Callable[[float, str], str]

    def figure(self, answered: Any, rows: GateRows, *, of: str = "model") -> Measurement:
        """The figure with its 95% interval."""
        (found,) = self.measured(answered, data_id=rows.data_id, slices={}, metrics=(self.metric,), of=of)
        return found

    def difference(self, answered: Any, other: Any, rows: GateRows, *, against: str) -> Comparison:
        """What is better than `other` by, on the same rows; negative is worse, of an error too."""
        found = self.compared(answered, other, against=against, data_id=rows.data_id, slices={})
        return next(c for c in found if c.metric == self.metric)


def _class(model: Model, rows: GateRows, _: Names) -> Case:
    labels = texts(rows.table, target_of(rows.schema))
    return case(model.predict(rows.table), labels, tuple(model.classes), rows, model.manifest.none_label)


def _raw_class(model: Model, rows: GateRows, _: Names, training: pa.Table) -> Case:
    labels = texts(rows.table, target_of(rows.schema))
    return class_gating.controls(rows, labels, tuple(model.classes), training)[CONTROL]


def _value(model: Model, rows: GateRows, _: Names) -> ValueCase:
    return _values(rows, value_gating.numbers_of(model.predict(rows.table)))


def _raw_value(_: Model, rows: GateRows, __: Names, training: pa.Table) -> ValueCase:
    truth = target_values(rows.table.column(target_of(rows.schema)), target_of(rows.schema))
    return _values(rows, value_gating.controls(rows.table, rows.schema, truth, training)[CONTROL])


def _values(rows: GateRows, answers: FloatArray) -> ValueCase:
    target = target_of(rows.schema)
    return ValueCase.of(target_values(rows.table.column(target), target), answers, groups_of(rows.table, rows.schema))


def _set(model: Model, rows: GateRows, names: Names) -> SetCase:
    answers = set_gating.answers(model.predict(rows.table), tuple(model.classes), names)
    return _sets(rows, names, answers)


def _raw_set(_: Model, rows: GateRows, names: Names, training: pa.Table) -> SetCase:
    truth = members(texts(rows.table, target_of(rows.schema)), names)
    return _sets(rows, names, set_gating.controls(rows.table, rows.schema, truth, names, training)[CONTROL])


def _sets(rows: GateRows, names: Names, answers: tuple[BoolArray, FloatArray | None]) -> SetCase:
    truth = members(texts(rows.table, target_of(rows.schema)), names)
    said, scores = answers
    return SetCase(truth, said, scores, groups_of(rows.table, rows.schema))


RULERS = {
    "classification": Ruler(
        "accuracy", _class, _raw_class, measure, compare, lambda d, span: f"{-d:.1%} of the answers{span} are lost"
    ),
    "regression": Ruler(
        "mae",
        _value,
        _raw_value,
        measure_values,
        compare_values,
        lambda d, span: f"{-d:.4g}{span} are added to the mean absolute error",
    ),
    "multilabel": Ruler(
        "micro_f1", _set, _raw_set, measure_sets, compare_sets, lambda d, span: f"{-d:.3f}{span} of micro F1 are lost"
    ),
}
"""By the project's task. A model of which only the predictions are known is not trained here, so it has none."""
