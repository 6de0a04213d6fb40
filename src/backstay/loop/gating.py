"""Measure a candidate beside the champion and the controls on the same rows, and ask the gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.model import Model, Outputs
from backstay.evaluate.case import Case
from backstay.evaluate.controls import majority, raw_knn, raw_matrix, tf_idf_linear, thinned
from backstay.evaluate.paired import compare
from backstay.evaluate.persistence import last_known
from backstay.evaluate.runner import measure
from backstay.gate.decide import decide
from backstay.kernel.codec import encode
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import digest, event_id
from backstay.kernel.records import (
    ColumnKind,
    Comparison,
    Finding,
    Measurement,
    ModelRecord,
    Report,
    Schema,
    Severity,
    Task,
    Verdict,
)
from backstay.loop.encoder_controls import Embeddings, EncoderRows, encoder_controls
from backstay.loop.examples import groups_of, target_of, texts
from backstay.loop.persistence import newest_known
from backstay.loop.value_gating import measured_values, refuse_other_task
from backstay.loop.workspace import Workspace
from backstay.maths.classification import UNLABELLED

NEIGHBOURS = 5
NO_ENCODER = "no encoder was trained here, so its space is not compared with raw rows or an untrained encoder"

Untrained = Callable[[pa.Table, pa.Table], tuple[Embeddings, ...]]


@dataclass(frozen=True)
class Offered:
    """A candidate, what was measured of it, and what the gate said."""

    model: ModelRecord
    report: Report
    verdict: Verdict


@dataclass(frozen=True)
class GateRows:
    """The frozen rows on which candidate and champion are compared.

    Args:
        champion_outputs: what the champion answered on these very rows, where it cannot be run here.
        earlier: other rows with known truths, tuning rows included, for the control of what was known last; the
            training rows where not given.
    """

    table: pa.Table
    schema: Schema
    data_id: str
    champion_outputs: Outputs | None = None
    earlier: pa.Table | None = None


def offer(
    ws: Workspace,
    record: ModelRecord,
    rows: GateRows,
    *,
    training: pa.Table | None,
    findings: tuple[Finding, ...] = (),
    notes: tuple[str, ...] = (),
    untrained: Untrained | None = None,
    also: Mapping[str, npt.NDArray[np.object_]] | None = None,
) -> tuple[Report, Verdict]:
    """Evaluate, decide, and file both under the ledger. Nothing becomes live.

    Args:
        training: rows for the kNN control; None lets the gate rows serve, each row and its group left out.
        findings: what the audits saw; an open one of high severity makes the gate refuse.
        also: a value a row by which results are sliced besides the columns of the settings.
        untrained: embeddings of training and gate rows by the same encoder untrained; None where none was trained.
    """
    champion_release = ws.catalog.champion(ws.name, ws.environment)
    champion = None if champion_release is None else ws.model_record(champion_release.model_id)
    if champion is not None and champion.id == record.id:
        champion = None
    model = ws.load_model(record)
    outputs = model.predict(rows.table)
    slices = {**slice_values(ws, rows), **(also or {})}
    beside: tuple[ModelRecord, Outputs] | None = None
    if champion is not None:
        refuse_other_task(champion.task, record.task)
        findings += signature_findings(ws, record, champion, rows.data_id)
        beside = (champion, rows.champion_outputs or ws.load_model(champion).predict(rows.table))
    if record.task is Task.REGRESSION:
        measured, comparisons = measured_values(
            outputs,
            None if beside is None else (beside[0].id, beside[1]),
            rows.table,
            rows.schema,
            training=training,
            earlier=rows.earlier,
            data_id=rows.data_id,
            slices=slices,
        )
    else:
        measured, comparisons, more = _of_classes(
            ws, record, (model, outputs), beside, rows, training=training, slices=slices, untrained=untrained
        )
        notes += more
    report = Report(
        id=event_id("report"),
        model_id=record.id,
        data_id=rows.data_id,
        created_at=ws.clock.now(),
        measurements=tuple(measured),
        comparisons=tuple(comparisons),
        champion=None if champion is None else champion.id,
        findings=findings,
        notes=notes,
    )
    verdict = decide(
        report,
        ws.settings.gate,
        model=ws.name,
        environment=ws.environment,
        champion=report.champion,
        clock=ws.clock,
    )
    with ws.ledger.transaction() as tx:
        tx.put("report", report.id, report, **ws.scope)
        tx.put("verdict", verdict.id, verdict, **ws.scope)
        tx.append(
            "verdict",
            {
                "verdict": verdict.id,
                "candidate": record.id,
                "champion": verdict.champion,
                "data": rows.data_id,
                "report": report.id,
                "policy": verdict.policy_digest,
                "passed": verdict.passed,
                "reasons": list(verdict.reasons),
                "verdict_digest": digest(encode(verdict)),
                "report_digest": digest(encode(report)),
            },
            actor=ws.actor,
        )
    return report, verdict


def _of_classes(
    ws: Workspace,
    record: ModelRecord,
    answered: tuple[Model, Outputs],
    champion: tuple[ModelRecord, Outputs] | None,
    rows: GateRows,
    *,
    training: pa.Table | None,
    slices: Mapping[str, npt.NDArray[np.object_]],
    untrained: Untrained | None,
) -> tuple[list[Measurement], list[Comparison], tuple[str, ...]]:
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
    simple = controls(rows, labels, classes, training)
    for name, control in simple.items():
        of = f"control:{name}"
        measured += measure(control, data_id=rows.data_id, slices={}, metrics=("accuracy",), of=of)
        comparisons += compare(candidate, control, against=of, data_id=rows.data_id, slices={})
    if untrained is None or training is None or outputs.embeddings is None:
        notes = (NO_ENCODER,)
    else:
        gallery = training.take(pa.array(thinned(training.num_rows)))
        known = positions(classes, texts(gallery, target_of(rows.schema)))
        inside = model.predict(gallery).embeddings
        if inside is None:
            raise BackstayError("the model gave embeddings once and then none", fix="report this with the bundle")
        before, after = untrained(gallery, rows.table)
        spaces = EncoderRows(known, (inside, outputs.embeddings), (before, after))
        figures, behind = encoder_controls(spaces, simple["raw_knn"], k=NEIGHBOURS, data_id=rows.data_id)
        measured += figures
        comparisons += behind
    return measured, comparisons, notes


def controls(
    rows: GateRows, labels: npt.NDArray[np.object_], classes: tuple[str, ...], training: pa.Table | None
) -> Mapping[str, Case]:
    """What a model must beat to be worth its keep: the commonest class, the nearest raw rows, of texts a linear model,
    and with a time column the label that was known last.

    With training rows the neighbours are sought among them; without, among the other groups of the same rows.
    """
    groups = groups_of(rows.table, rows.schema)
    truth = positions(classes, labels)
    features = list(rows.schema.features)
    if training is None:
        known, gallery = truth, raw_matrix(rows.table, rows.schema)
        queries = gallery
        apart = np.arange(len(truth)) if groups is None else groups
    else:
        known = positions(classes, texts(training, target_of(rows.schema)))
        both = raw_matrix(pa.concat_tables([training.select(features), rows.table.select(features)]), rows.schema)
        gallery, queries = both[: training.num_rows], both[training.num_rows :]
        apart = None
    scores = raw_knn(gallery, known, queries, k=NEIGHBOURS, classes=len(classes), leave_out=apart)
    answers = {"majority": (majority(known, len(truth)), None), "raw_knn": (scores.argmax(1), scores)}
    text = next((f for f in features if rows.schema.column(f).kind is ColumnKind.TEXT), None)
    if text is not None:
        asked = [v or "" for v in rows.table.column(text).to_pylist()]
        given = asked if training is None else [v or "" for v in training.column(text).to_pylist()]
        linear = tf_idf_linear(given, known, asked, classes=len(classes), leave_out=apart)
        answers["tf_idf_linear"] = (linear.argmax(1), linear)
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


def case(
    outputs: Outputs, labels: npt.NDArray[np.object_], classes: tuple[str, ...], rows: GateRows, none_label: str = ""
) -> Case:
    """Predictions and truths as class positions. A label that the model does not know counts as an error, unless the
    model answers `none_label`. A row without a label is an error of every model."""
    truth = positions(classes, labels)
    if none_label:
        truth[(truth < 0) & (labels == UNLABELLED)] = -2
    return Case(
        labels=truth,
        predicted=positions(classes, outputs.labels),
        scores=outputs.scores,
        embeddings=outputs.embeddings,
        groups=groups_of(rows.table, rows.schema),
        classes=classes,
        declines=bool(none_label),
        distances=outputs.distances,
    )


def positions(classes: tuple[str, ...], values: npt.NDArray[np.object_]) -> npt.NDArray[np.int64]:
    """Labels as positions in `classes`; -1 for one that is not among them."""
    places = {name: i for i, name in enumerate(classes)}
    return np.array([places.get(str(v), -1) for v in values], dtype=np.int64)


def slice_values(ws: Workspace, rows: GateRows) -> dict[str, npt.NDArray[np.object_]]:
    """The columns by which results are sliced; numbers are cut at their quartiles."""
    found: dict[str, npt.NDArray[np.object_]] = {}
    for name in ws.settings.data.slices:
        if name not in rows.table.column_names:
            raise BackstayError(
                f"the slice column {name!r} is not among the rows that candidates are measured on",
                fix="correct data.slices, or log the column with each prediction",
            )
        column = rows.table.column(name)
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            found[name] = quartiles(column.to_numpy(zero_copy_only=False).astype(float))
        else:
            found[name] = texts(rows.table, name)
    return found


def quartiles(values: npt.NDArray[np.float64]) -> npt.NDArray[np.object_]:
    """Each number as the quarter it falls into; few distinct numbers stay themselves."""
    present = values[~np.isnan(values)]
    distinct = np.unique(present)
    if len(distinct) <= 8:
        return np.array(["missing" if np.isnan(v) else f"{v:g}" for v in values], dtype=object)
    edges = np.unique(np.quantile(present, [0.25, 0.5, 0.75]))
    bins = np.searchsorted(edges, values, side="left")
    bounds = ["-inf", *(f"{e:g}" for e in edges), "inf"]
    return np.array(
        ["missing" if np.isnan(v) else f"({bounds[b]}, {bounds[b + 1]}]" for v, b in zip(values, bins, strict=True)],
        dtype=object,
    )


def signature_findings(ws: Workspace, record: ModelRecord, champion: ModelRecord, data_id: str) -> tuple[Finding, ...]:
    """A successor must answer the requests that the champion answers."""
    if champion.bundle is None or record.bundle is None:
        return ()
    new, old = (sorted(_signature(ws, r)) for r in (record, champion))
    if new == old:
        return ()
    return (
        Finding(
            check="signature",
            severity=Severity.HIGH,
            message=f"the successor takes {new}, the champion takes {old}: live requests would fail",
            fix="export it with the champion's input names, types and shapes",
            data_id=data_id,
        ),
    )


def _signature(ws: Workspace, record: ModelRecord) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(i.name, i.datatype, tuple(i.shape)) for i in ws.load_model(record).manifest.inputs]
