"""What is measured of a classifier: beside the champion, simple answers, and what its encoder must beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.model import Model, Outputs
from backstay.evaluate.case import Case
from backstay.evaluate.controls import majority, raw_knn, tf_idf_linear, thinned
from backstay.evaluate.linear_controls import of_a_table, raw_linear
from backstay.evaluate.paired import compare
from backstay.evaluate.persistence import last_known
from backstay.evaluate.runner import measure
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import ColumnKind, Comparison, Measurement, ModelRecord
from backstay.loop.anomaly_gating import measured_ranks, ranks_anomalies
from backstay.loop.encoder_controls import Embeddings, EncoderRows, encoder_controls
from backstay.loop.enhance import enhancement
from backstay.loop.examples import groups_of, target_of, texts
from backstay.loop.gate_case import GateRows, case, positions
from backstay.loop.persistence import newest_known
from backstay.loop.raw_rows import raw_rows
from backstay.loop.workspace import Workspace

NEIGHBOURS = 5
NO_ENCODER = "no encoder was trained here, so its space is not compared with raw rows or an untrained encoder"
NOTHING_LEARNED = "the encoder has nothing to learn: untrained it is the same function, so the two are not compared"


Measured = tuple[list[Measurement], list[Comparison], tuple[str, ...]]
Untrained = Callable[[pa.Table, pa.Table], tuple[Embeddings, ...]]
"""Embeddings of both tables by the encoder untrained; none where that is the same function."""


def measured_classes(
    ws: Workspace,
    record: ModelRecord,
    answered: tuple[Model, Outputs],
    champion: tuple[ModelRecord, Outputs] | None,
    rows: GateRows,
    *,
    training: pa.Table | None,
    slices: Mapping[str, npt.NDArray[np.object_]],
    untrained: Untrained | None,
) -> Measured:
    """Figures of a classifier beside the champion, the controls, and its encoder's own controls; and notes."""
    model, outputs = answered
    classes = tuple(model.classes)
    labels = texts(rows.table, target_of(rows.schema))
    candidate = case(outputs, labels, classes, rows, ws.none_label(record))
    measured: list[Measurement] = list(measure(candidate, data_id=rows.data_id, slices=slices))
    comparisons: list[Comparison] = []
    notes: tuple[str, ...] = ()
    if champion is not None:
        baseline = case(champion[1], labels, champion[0].classes or classes, rows, ws.none_label(champion[0]))
        comparisons += compare(candidate, baseline, against=champion[0].id, data_id=rows.data_id, slices=slices)
        measured += measure(baseline, data_id=rows.data_id, slices=slices, metrics=("accuracy",), of="champion")
    taught_here = untrained is not None and training is not None and outputs.embeddings is not None
    linear = taught_here and of_a_table(rows.schema) and not ranks_anomalies(model)
    simple = controls(rows, labels, classes, training, linear=linear)
    for name, control in simple.items():
        of = f"control:{name}"
        measured += measure(control, data_id=rows.data_id, slices={}, metrics=("accuracy",), of=of)
        comparisons += compare(candidate, control, against=of, data_id=rows.data_id, slices={})
    if ranks_anomalies(model):
        theirs = None if champion is None else (champion[0].id, champion[0].classes or classes, champion[1])
        ranked, beside, notes = measured_ranks(answered, theirs, rows, training=training)
        measured += ranked
        comparisons += beside
    elif untrained is None or training is None or outputs.embeddings is None:
        notes = (NO_ENCODER,)
    else:
        gallery = training.take(pa.array(thinned(training.num_rows)))
        drawn = untrained(gallery, rows.table)
        known = positions(classes, texts(gallery, target_of(rows.schema)))
        inside = model.predict(gallery).embeddings
        if inside is None:
            raise BackstayError("the model gave embeddings once and then none", fix="report this with the bundle")
        if drawn:
            spaces = EncoderRows(known, (inside, outputs.embeddings), (drawn[0], drawn[1]))
            figures, behind = encoder_controls(spaces, simple["raw_knn"], k=NEIGHBOURS, data_id=rows.data_id)
            measured += figures
            comparisons += behind
        else:
            notes = (NOTHING_LEARNED,)
    if model.enhancer is not None:
        figures, better = enhancement(model, rows)
        measured += figures
        comparisons += better
    return measured, comparisons, notes


def controls(
    rows: GateRows,
    labels: npt.NDArray[np.object_],
    classes: tuple[str, ...],
    training: pa.Table | None,
    *,
    linear: bool = False,
) -> Mapping[str, Case]:
    """What a model must beat to be worth its keep: the commonest class, the nearest raw rows, of texts a linear model,
    and with a time column the label that was known last.

    With training rows the neighbours are sought among them; without, among the other groups of the same rows.

    Args:
        linear: a linear model on the raw rows as well, which needs training rows.
    """
    truth = positions(classes, labels)
    known = truth if training is None else positions(classes, texts(training, target_of(rows.schema)))
    gallery, queries, apart = raw_rows(rows.table, rows.schema, training)
    groups = groups_of(rows.table, rows.schema)
    scores = raw_knn(gallery, known, queries, k=NEIGHBOURS, classes=len(classes), leave_out=apart)
    answers = {"majority": (majority(known, len(truth)), None), "raw_knn": (scores.argmax(1), scores)}
    if linear and apart is None:
        chances = raw_linear(gallery, known, queries, classes=len(classes))
        answers["raw_linear"] = (chances.argmax(1), chances)
    text = next((f for f in rows.schema.features if rows.schema.column(f).kind is ColumnKind.TEXT), None)
    if text is not None:
        asked = [v or "" for v in rows.table.column(text).to_pylist()]
        given = asked if training is None else [v or "" for v in training.column(text).to_pylist()]
        chances = tf_idf_linear(given, known, asked, classes=len(classes), leave_out=apart)
        answers["tf_idf_linear"] = (chances.argmax(1), chances)
    earlier = training if rows.earlier is None else rows.earlier
    past = truth[:0] if earlier is None else positions(classes, texts(earlier, target_of(rows.schema)))
    known_labels = np.concatenate([past, truth])
    places = newest_known(earlier, rows.table, rows.schema, known_labels >= 0)
    if places is not None:
        answers["last_label"] = (last_known(known_labels, places, answers["majority"][0]), None)
    return {
        name: Case(labels=truth, predicted=predicted, scores=score, embeddings=None, groups=groups, classes=classes)
        for name, (predicted, score) in answers.items()
    }
