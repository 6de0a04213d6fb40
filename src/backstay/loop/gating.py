"""Measure a candidate beside the champion and the controls on the same rows, and ask the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.model import Model, Outputs
from backstay.gate.decide import decide
from backstay.kernel.codec import encode
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import digest, event_id
from backstay.kernel.records import (
    Finding,
    ModelRecord,
    Report,
    Severity,
    Task,
    Verdict,
)
from backstay.loop.class_gating import Measured, Untrained, measured_classes
from backstay.loop.distilled import space_note
from backstay.loop.examples import texts
from backstay.loop.gate_case import GateRows
from backstay.loop.set_gating import measured_sets
from backstay.loop.value_gating import measured_values, refuse_other_task
from backstay.loop.workspace import Workspace


@dataclass(frozen=True)
class Offered:
    """A candidate, what was measured of it, and what the gate said."""

    model: ModelRecord
    report: Report
    verdict: Verdict


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
    measures = MEASURES.get(record.task, measured_classes)
    measured, comparisons, more = measures(
        ws, record, (model, outputs), beside, rows, training=training, slices=slices, untrained=untrained
    )
    notes += (*more, *space_note(record))
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


def _of_numbers(
    _ws: Workspace,
    _record: ModelRecord,
    answered: tuple[Model, Outputs],
    champion: tuple[ModelRecord, Outputs] | None,
    rows: GateRows,
    *,
    training: pa.Table | None,
    slices: Mapping[str, npt.NDArray[np.object_]],
    untrained: Untrained | None,  # noqa: ARG001 - each of MEASURES is asked alike
) -> Measured:
    """Figures of a model that answers numbers."""
    measured, comparisons = measured_values(
        answered[1],
        None if champion is None else (champion[0].id, champion[1]),
        rows.table,
        rows.schema,
        training=training,
        earlier=rows.earlier,
        data_id=rows.data_id,
        slices=slices,
    )
    return measured, comparisons, ()


def _of_sets(
    _ws: Workspace,
    record: ModelRecord,
    answered: tuple[Model, Outputs],
    champion: tuple[ModelRecord, Outputs] | None,
    rows: GateRows,
    *,
    training: pa.Table | None,
    slices: Mapping[str, npt.NDArray[np.object_]],
    untrained: Untrained | None,  # noqa: ARG001 - each of MEASURES is asked alike
) -> Measured:
    """Figures of a model that answers sets of labels."""
    measured, comparisons = measured_sets(
        (answered[1], record.classes),
        None if champion is None else (champion[0].id, champion[1], champion[0].classes),
        rows.table,
        rows.schema,
        training=training,
        data_id=rows.data_id,
        slices=slices,
    )
    return measured, comparisons, ()


# How a model is measured, by its task; where nothing is said it answers classes.
MEASURES = {Task.REGRESSION: _of_numbers, Task.MULTILABEL: _of_sets}


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
