"""What is measured of a model that answers numbers: beside the champion and the simple answers, on the same rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.model import Outputs
from backstay.bundle.numbers import parsed, target_values
from backstay.evaluate.linear_controls import of_a_table, raw_linear_values
from backstay.evaluate.persistence import last_known
from backstay.evaluate.value_controls import raw_knn_values
from backstay.evaluate.values import ValueCase, compare_values, measure_values
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Comparison, Measurement, Schema, Task
from backstay.loop.examples import groups_of, target_of
from backstay.loop.persistence import newest_known
from backstay.loop.raw_rows import raw_rows
from backstay.maths.arrays import FloatArray

NEIGHBOURS = 5
Sliced = Mapping[str, npt.NDArray[np.object_]]


def measured_values(
    outputs: Outputs,
    champion: tuple[str, Outputs] | None,
    table: pa.Table,
    schema: Schema,
    *,
    training: pa.Table | None,
    earlier: pa.Table | None = None,
    data_id: str,
    slices: Sliced,
) -> tuple[list[Measurement], list[Comparison]]:
    """Figures of a candidate, and its paired differences from the champion and from each control.

    Args:
        champion: the live model's id and its answers to the same rows.
        training: rows for the controls; None lets the rows themselves serve, each row and its group left out.
        earlier: rows whose truth was known before, for the control of the last value; `training` when not given.
    """
    truth, groups = target_values(table.column(target_of(schema)), target_of(schema)), groups_of(table, schema)
    case = ValueCase.of(truth, numbers_of(outputs), groups)
    measured = list(measure_values(case, data_id=data_id, slices=slices))
    comparisons: list[Comparison] = []
    if champion is not None:
        name, theirs = champion
        baseline = ValueCase.of(truth, numbers_of(theirs), groups)
        comparisons += compare_values(case, baseline, against=name, data_id=data_id, slices=slices)
        measured += measure_values(baseline, data_id=data_id, slices=slices, metrics=("mae", "skill"), of="champion")
    linear = outputs.embeddings is not None and of_a_table(schema)
    for name, answers in controls(table, schema, truth, training, earlier, linear=linear).items():
        control, of = ValueCase.of(truth, answers, groups), f"control:{name}"
        measured += measure_values(control, data_id=data_id, slices={}, metrics=("mae", "skill"), of=of)
        comparisons += compare_values(case, control, against=of, data_id=data_id, slices={})
    return measured, comparisons


def numbers_of(outputs: Outputs) -> FloatArray:
    """The answers as numbers; those that were logged as text are read back."""
    return parsed(outputs.labels) if outputs.numbers is None else outputs.numbers


def controls(
    table: pa.Table,
    schema: Schema,
    truth: FloatArray,
    training: pa.Table | None,
    earlier: pa.Table | None = None,
    *,
    linear: bool = False,
) -> dict[str, FloatArray]:
    """Mean and median, the nearest raw rows, and with a time column the newest number known before, in the row's own
    group where there is one: among earlier rows and gate rows.

    Without training rows mean and median are those of the rows themselves, which no model can know: a control that is
    a little too good refuses a model rather than letting one through.

    Args:
        linear: with training rows, a linear model on the raw rows as well.
    """
    known = truth if training is None else target_values(training.column(target_of(schema)), target_of(schema))
    gallery, queries, apart = raw_rows(table, schema, training)
    found = {
        "mean": np.full(len(truth), known.mean()),
        "median": np.full(len(truth), np.median(known)),
        "raw_knn": raw_knn_values(gallery, known, queries, k=NEIGHBOURS, leave_out=apart),
    }
    if linear and apart is None:
        found["raw_linear"] = raw_linear_values(gallery, known, queries)
    earlier = training if earlier is None else earlier
    past = truth[:0] if earlier is None else target_values(earlier.column(target_of(schema)), target_of(schema))
    both_truths = np.concatenate([past, truth])
    places = newest_known(earlier, table, schema, np.isfinite(both_truths))
    if places is not None:
        found["last_value"] = last_known(both_truths, places, found["mean"])
    return found


def refuse_other_task(live: str, candidate: str) -> None:
    """A number cannot succeed a class, nor a class a number. What is known by its predictions alone answers classes."""
    kinds = ["classification" if task == Task.PREDICTIONS else str(task) for task in (live, candidate)]
    if kinds[0] != kinds[1]:
        raise BackstayError(
            f"the live model does {kinds[0]}, this one does {kinds[1]}",
            fix="give it another environment or another project: answers of two kinds cannot be compared",
        )
