"""Take over a model that is already live, or offer one that was made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from backstay.bundle.inspect import inspect_onnx, names_classes
from backstay.bundle.manifest import Manifest
from backstay.bundle.write import write_bundle
from backstay.data.audit import overlap
from backstay.data.schema import conform
from backstay.data.split import refuse_alike
from backstay.kernel.errors import BackstayError, Refused
from backstay.kernel.ids import content_id, digest
from backstay.kernel.records import (
    DataVersion,
    Finding,
    ModelRecord,
    Release,
    Report,
    Schema,
    Severity,
    Task,
    Verdict,
)
from backstay.labels.known import refuse_unlike
from backstay.loop.class_order import refuse_turned_round
from backstay.loop.examples import bring, keep, learned_from, schema_for, target_of, texts
from backstay.loop.gate_case import GateRows
from backstay.loop.gate_rows import freshest_gate
from backstay.loop.gating import Offered, offer
from backstay.loop.hints import Hints
from backstay.loop.label import live_rows
from backstay.loop.log_policy import refuse_blind
from backstay.loop.policy import check_gate
from backstay.loop.reference import without_use
from backstay.loop.run import file_model, live_inputs
from backstay.loop.sign import check_key, objection
from backstay.loop.tasks import task_of
from backstay.loop.workspace import Workspace
from backstay.release.adopt import adopt as release_unmeasured
from backstay.release.adopt import refuse_successor


@dataclass(frozen=True)
class Adopted:
    """A model taken over. `report` and `verdict` are None where only its predictions are known."""

    model: ModelRecord
    release: Release
    reference: DataVersion
    report: Report | None
    verdict: Verdict | None


def adopt(ws: Workspace, model: Any, *, reference: Path, hints: Hints | None = None) -> Adopted:
    """Release a model as unmeasured, keep its reference rows, and measure it on them beside the controls.

    Args:
        model: its ONNX file, a fitted scikit-learn model, a torch module, or None where the settings say
            `task = "predictions"`.
        reference: rows with true labels on which the model is known to be well.
        hints: what it does not say of itself.
    """
    known_elsewhere = ws.settings.task == "predictions"
    if known_elsewhere and model is not None:
        raise BackstayError(
            f"{model} was named, but this project knows only predictions", fix="leave the file out, or change `task`"
        )
    if not known_elsewhere and model is None:
        raise BackstayError("no model file was named", fix="give an ONNX file, or say --predictions-only")
    check_gate(ws)
    check_key()
    refuse_successor(ws.catalog.champion(ws.name, ws.environment))
    with ws.progress.step("reference rows"):
        raw = bring(ws, reference)
        schema = schema_for(raw, ws.settings.data, task=ws.settings.task)
        table = conform(raw, schema)
        refuse_alike(table, "id", schema.id)
        record = _elsewhere(ws, table, schema) if model is None else bring_model(ws, model, table, schema, hints=hints)
        version = keep(ws, table, schema, source=str(reference), role="reference")
    file_model(ws, record)
    speaks_against = objection(ws, record.id)
    if speaks_against is not None:
        with ws.ledger.transaction() as tx:
            tx.append(
                "adoption_refused", {**ws.scope, "candidate": record.id, "why": speaks_against[0]}, actor=ws.actor
            )
        raise Refused(speaks_against[0], fix=speaks_against[1])
    release = release_unmeasured(
        ws.ledger,
        **ws.scope,
        model_id=record.id,
        reference_id=version.id,
        actor=ws.actor,
        reason=f"adopted with {table.num_rows} reference rows",
        clock=ws.clock,
    )
    if model is None:
        return Adopted(record, release, version, None, None)
    with ws.progress.step("measure"):
        optimistic = "measured on the adopter's reference rows; optimistic if the model was trained on them"
        notes = (optimistic, *(finding.message for finding in uncalibrated(ws, record, version.id)))
        report, verdict = offer(ws, record, GateRows(table, schema, version.id), training=None, notes=notes)
    return Adopted(record, release, version, report, verdict)


def _elsewhere(ws: Workspace, table: pa.Table, schema: Schema) -> ModelRecord:
    target, prediction = target_of(schema), ws.settings.predictions.prediction
    true = texts(table, target)
    if prediction in table.column_names:
        refuse_unlike(true, texts(table, prediction), label=target, prediction=prediction)
    classes = tuple(sorted(set(true)))
    identity = digest({"model": ws.name, "environment": ws.environment, "elsewhere": True, "classes": list(classes)})
    return ModelRecord(
        id=content_id("elsewhere", identity),
        model=ws.name,
        task=Task.PREDICTIONS,
        origin="elsewhere",
        created_at=ws.clock.now(),
        classes=classes,
    )


def bring_model(
    ws: Workspace, model: Any, table: pa.Table, schema: Schema, *, origin: str = "adopted", hints: Hints | None = None
) -> ModelRecord:
    """Make a bundle of somebody's model: roles inferred, checked by running it on a few of these rows."""
    named = task_of(ws).classes
    classes = () if named is None else named(texts(table, target_of(schema)).tolist())
    content, draft, files = _graph_of(ws, model, table, schema, classes, hints or Hints())
    refuse_blind(ws, draft)
    model_id = write_bundle(ws.bundles, content, draft, files=files)
    record = ModelRecord(
        id=model_id,
        model=ws.name,
        task=Task(draft.task),
        origin=origin,
        created_at=ws.clock.now(),
        bundle=model_id,
        classes=draft.classes or classes,
    )
    loaded = ws.load_model(record)
    found = loaded.predict(table.slice(0, 16))
    answers = found.labels
    if record.task is Task.MULTILABEL:
        return record
    if record.task is Task.REGRESSION:
        if found.numbers is None or not np.all(np.isfinite(found.numbers)):
            raise BackstayError(
                "the model does not answer a finite number for each of the first rows",
                fix="look at the output that it names `value`, and at gaps in the rows",
            )
        return record
    strangers = sorted({str(a) for a in answers} - {*classes, draft.none_label})
    if strangers:
        raise BackstayError(
            f"the model answers {strangers[0]!r}, which is none of the target's values ({', '.join(classes[:12])})",
            fix="name the right --target, or reference rows whose labels are written as the model writes them",
        )
    # A poor successor is for the gate to refuse.
    if origin == "adopted" and isinstance(model, Path) and not (hints and hints.classes) and not names_classes(content):
        refuse_turned_round(loaded, table, target_of(schema), record.classes)
    return record


def _graph_of(
    ws: Workspace, model: Any, table: pa.Table, schema: Schema, classes: tuple[str, ...], hints: Hints
) -> tuple[bytes, Manifest, dict[str, bytes]]:
    """The graph, the draft of its manifest and further files: of a file as it is, of an object as it answers."""
    if isinstance(model, Path):
        if hints.example is not None or hints.outputs:
            raise BackstayError(
                "example and outputs are for torch modules, and an ONNX file was named", fix="leave them out"
            )
        features = tuple(schema.column(name) for name in schema.features)
        draft = inspect_onnx(model, features, classes, task=ws.settings.task, order=hints.classes)
        return model.read_bytes(), draft, {}
    try:
        from backstay.train.bring import graph_of
    except ModuleNotFoundError as error:
        raise BackstayError(
            f"converting a {type(model).__name__} needs {error.name}, which is not installed",
            fix="install it with `pip install 'backstay[learn]'`, or name an ONNX file",
        ) from error
    found = graph_of(
        model,
        table,
        schema,
        classes=classes,
        example=hints.example,
        outputs=hints.outputs,
        order=hints.classes,
        answering=live_inputs(ws),
        task=ws.settings.task,
    )
    return found.content, found.draft, found.files


def offer_model(ws: Workspace, model: Any, *, trained_on: Path | None, hints: Hints | None = None) -> Offered:
    """Offer a successor made elsewhere: measured on the champion's gate rows, checked for leakage, never made live."""
    check_gate(ws)
    check_key()
    champion = ws.champion()
    _, schema = ws.rows_of(_reference_id(champion))
    rows = freshest_gate(ws, champion, live_rows(ws), learned_from(ws, without_use(schema)))
    live = ws.model_record(champion.model_id)
    if live.bundle is not None:
        # Checked before anything is filed: without the champion there is nothing to compare with.
        ws.load_model(live)
    record = _offered(ws, model, rows, schema.features, hints)
    training: pa.Table | None = None
    findings: tuple[Finding, ...] = (_unknown_training(rows.data_id),)
    if trained_on is not None:
        given = bring(ws, trained_on)
        training = conform(given, _training_schema(rows.schema, given))
        findings = overlap(training, rows.table, rows.schema, data_id=rows.data_id)
    findings += uncalibrated(ws, record, rows.data_id)
    file_model(ws, record)
    with ws.progress.step("measure"):
        report, verdict = offer(ws, record, rows, training=training, findings=findings)
    return Offered(record, report, verdict)


def _offered(ws: Workspace, model: Any, rows: GateRows, features: tuple[str, ...], hints: Hints | None) -> ModelRecord:
    """The bundle of a model that reads what is learned from, or else all that is watched, texts as well."""
    try:
        return bring_model(ws, model, rows.table, rows.schema, origin="offered", hints=hints)
    except BackstayError:
        if rows.schema.features == features:
            raise
        whole = replace(rows.schema, features=features)
        return bring_model(ws, model, rows.table, whole, origin="offered", hints=hints)


def uncalibrated(ws: Workspace, record: ModelRecord, data_id: str) -> tuple[Finding, ...]:
    """What is to be known of scores that are made of a decision function, where the manifest says so."""
    said = None if record.bundle is None else ws.load_model(record).manifest.recipe.get("scores")
    if not isinstance(said, str):
        return ()
    return (
        Finding(
            check="scores_are_no_chances",
            severity=Severity.LOW,
            message=f"the scores are the {said}: log loss and calibration error say little of them",
            fix="nothing need be done: accuracy without labels calibrates them; or wrap the model in "
            "CalibratedClassifierCV and offer it anew",
            data_id=data_id,
        ),
    )


def _reference_id(release: Release) -> str:
    if release.reference_id is None:
        raise BackstayError(
            f"release {release.sequence} has no reference rows to measure a successor on", fix="adopt with --reference"
        )
    return release.reference_id


def _training_schema(schema: Schema, table: pa.Table) -> Schema:
    """The gate rows' schema, as far as the training rows have its columns."""
    here = set(table.column_names)
    missing = [f for f in (*schema.features, schema.target or "") if f not in here]
    if missing:
        raise BackstayError(
            f"the training rows have no column {missing[0]!r}",
            fix="give the rows as the model saw them, target included",
        )
    columns = tuple(c for c in schema.columns if c.name in here)
    return Schema(
        columns=columns,
        features=schema.features,
        target=schema.target,
        id=schema.id if schema.id in here else None,
        time=schema.time if schema.time in here else None,
        group=schema.group if schema.group in here else None,
    )


def _unknown_training(data_id: str) -> Finding:
    return Finding(
        check="training_rows_unknown",
        severity=Severity.MEDIUM,
        message="nobody said on which rows this model was trained, so leakage into the gate rows cannot be excluded",
        fix="name them with --trained-on",
        data_id=data_id,
    )
