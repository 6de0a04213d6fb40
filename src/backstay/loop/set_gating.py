"""What is measured of a model that answers sets of labels: beside the champion and simple answers, on the same rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.model import Outputs
from backstay.bundle.sets import labels_of, members
from backstay.evaluate.linear_controls import of_a_table, raw_linear_sets
from backstay.evaluate.set_controls import most_frequent_set, raw_knn_sets
from backstay.evaluate.sets import OF_OTHERS, SetCase, compare_sets, measure_sets
from backstay.kernel.records import Comparison, Measurement, Schema
from backstay.loop.examples import groups_of, target_of, texts
from backstay.loop.raw_rows import raw_rows
from backstay.maths.arrays import BoolArray, FloatArray

NEIGHBOURS = 5
SAID = 0.5
Sliced = Mapping[str, npt.NDArray[np.object_]]
Labels = tuple[str, ...]


def measured_sets(
    outputs: tuple[Outputs, Labels],
    champion: tuple[str, Outputs, Labels] | None,
    table: pa.Table,
    schema: Schema,
    *,
    training: pa.Table | None,
    data_id: str,
    slices: Sliced,
) -> tuple[list[Measurement], list[Comparison]]:
    """Figures of a candidate, and its paired differences from the champion and from each control.

    All are judged on all labels that one of the models knows or a row has: a label that a model does not know it
    never says, and misses where it is true.

    Args:
        outputs: the candidate's answers, and its labels in the order of the scores.
        champion: the live model's id, its answers to the same rows, and its labels.
        training: rows for the controls; None lets the rows themselves serve, each row and its group left out.
    """
    told = texts(table, target_of(schema))
    labels = tuple(sorted({*labels_of(told), *outputs[1], *(() if champion is None else champion[2])}))
    truth, groups = members(told, labels), groups_of(table, schema)
    case = SetCase(truth, *answers(*outputs, labels), groups)
    measured = list(measure_sets(case, data_id=data_id, slices=slices))
    comparisons: list[Comparison] = []
    if champion is not None:
        name, theirs, known = champion
        baseline = SetCase(truth, *answers(theirs, known, labels), groups)
        comparisons += compare_sets(case, baseline, against=name, data_id=data_id, slices=slices)
        measured += measure_sets(baseline, data_id=data_id, slices=slices, metrics=OF_OTHERS, of="champion")
    linear = outputs[0].embeddings is not None and of_a_table(schema)
    for name, (said, scores) in controls(table, schema, truth, labels, training, linear=linear).items():
        control, of = SetCase(truth, said, scores, groups), f"control:{name}"
        measured += measure_sets(control, data_id=data_id, slices={}, metrics=OF_OTHERS, of=of)
        comparisons += compare_sets(case, control, against=of, data_id=data_id, slices={})
    return measured, comparisons


def answers(outputs: Outputs, known: Labels, labels: Labels) -> tuple[BoolArray, FloatArray | None]:
    """What is said [n, labels] and how likely each label is; a label that the model does not know has chance 0."""
    said = members(outputs.labels, labels)
    if outputs.scores is None or outputs.scores.shape[1] != len(known):
        return said, None
    scores = np.zeros(said.shape)
    scores[:, [labels.index(name) for name in known]] = outputs.scores
    return said, scores


def controls(
    table: pa.Table,
    schema: Schema,
    truth: BoolArray,
    labels: Labels,
    training: pa.Table | None,
    *,
    linear: bool = False,
) -> dict[str, tuple[BoolArray, FloatArray | None]]:
    """The most frequent set, and the labels that half of the nearest raw rows have.

    Without training rows the most frequent set is that of the rows themselves, which no model can know: a control that
    is a little too good refuses a model rather than letting one through.

    Args:
        linear: with training rows, a linear model for each label on the raw rows as well.
    """
    known = truth if training is None else members(texts(training, target_of(schema)), labels)
    gallery, queries, apart = raw_rows(table, schema, training)
    shares = raw_knn_sets(gallery, known, queries, k=NEIGHBOURS, leave_out=apart)
    found: dict[str, tuple[BoolArray, FloatArray | None]] = {
        "most_frequent_set": (most_frequent_set(known, len(truth)), None),
        "raw_knn": (shares >= SAID, shares),
    }
    if linear and apart is None:
        chances = raw_linear_sets(gallery, known, queries)
        found["raw_linear"] = (chances >= SAID, chances)
    return found
