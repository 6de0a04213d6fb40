"""Data, audit, train, evaluate, gate: from rows to a verdict. It never promotes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.manifest import InputSpec
from backstay.data.audit import audit as check_all
from backstay.data.split import split
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import ModelRecord, Schema, Task
from backstay.loop.class_gating import Untrained
from backstay.loop.examples import keep, project_rows, target_of, texts
from backstay.loop.gate_case import GateRows
from backstay.loop.gating import Offered, offer
from backstay.loop.lineage import start_of, teacher_of
from backstay.loop.pairs import Found, judged_pairs
from backstay.loop.policy import check_gate
from backstay.loop.reference import with_use
from backstay.loop.sign import check_key, sign_if_given
from backstay.loop.tasks import task_of
from backstay.loop.unlabelled import unlabelled_rows
from backstay.loop.workspace import Workspace
from backstay.settings import ENCODER

if TYPE_CHECKING:
    from backstay.train.work import Trained


# What trains an encoder where the target is no class, and what the target is.
TWINS = {
    "regression": ("backstay.train.value_loop", "numbers"),
    "multilabel": ("backstay.train.set_loop", "labels"),
}
# What trains a model without an encoder there.
WITHOUT = {"regression": "backstay.train.regression", "multilabel": "backstay.train.one_vs_rest"}


def run(ws: Workspace) -> Offered:
    """The whole way from the project's rows to a verdict on a new model."""
    check_gate(ws)
    check_key()
    with ws.progress.step("data"):
        table, schema = project_rows(ws)
        version = keep(ws, table, schema, source=str(ws.settings.data.source), role="data")
        parts = split(table, schema, ws.settings.data.split)
    with ws.progress.step("audit"):
        findings = check_all(
            table, schema, parts, data_id=version.id, task=ws.settings.task, named=ws.settings.data.features is not None
        )
    gate_rows, gate_schema = table.take(pa.array(parts["gate"])), schema
    unlabelled = unlabelled_rows(ws, schema, gate_rows)
    findings += unlabelled.findings
    gate = keep(ws, gate_rows, gate_schema, source=f"{version.id}#gate", role="gate")
    reference_rows = np.concatenate([parts["tune"], parts["gate"]])
    uses = ["tune"] * len(parts["tune"]) + ["gate"] * len(parts["gate"])
    reference_table, reference_schema = with_use(table.take(pa.array(reference_rows)), schema, uses)
    reference = keep(ws, reference_table, reference_schema, source=f"{version.id}#reference", role="reference")
    learned = np.concatenate([parts["train"], parts["tune"]])
    record = train(ws, table, schema, parts, data_id=version.id, reference_id=reference.id, unlabelled=unlabelled.table)
    report, verdict = offer(
        ws,
        record,
        GateRows(gate_rows, gate_schema, gate.id, earlier=table.take(pa.array(learned))),
        training=table.take(pa.array(parts["train"])),
        findings=findings,
        untrained=untrained(ws, table, schema, parts),
    )
    return Offered(record, report, verdict)


def untrained(
    ws: Workspace, table: pa.Table, schema: Schema, parts: dict[str, npt.NDArray[np.int64]]
) -> Untrained | None:
    """How the recipe's encoder embeds rows before it learns; None for a recipe without an encoder."""
    recipe = ws.settings.train
    if recipe.model != ENCODER or ws.settings.task in TWINS:
        return None
    from backstay.train.untrained import untrained_embeddings

    classes = len(set(texts(table.take(pa.array(parts["train"])), target_of(schema))))
    drawn = partial(untrained_embeddings, classes=max(classes, 2), root=ws.root)
    return lambda *asked: drawn(table, schema, parts["train"], recipe, asked)


def train(
    ws: Workspace,
    table: pa.Table,
    schema: Schema,
    parts: dict[str, npt.NDArray[np.int64]],
    *,
    data_id: str,
    reference_id: str,
    parent: str | None = None,
    unlabelled: pa.Table | None = None,
) -> ModelRecord:
    """Fit the recipe of the settings and file the model. A run that was killed goes on where it stopped."""
    fit = trainer(ws, unlabelled)
    # A number has no classes.
    named: dict[str, tuple[str, ...]] = {}
    classes = task_of(ws).classes
    if classes is not None:
        named["classes"] = classes(texts(table.take(pa.array(parts["train"])), target_of(schema)).tolist())
    trained = fit(
        table,
        schema,
        {"train": parts["train"], "tune": parts["tune"]},
        ws.settings.train,
        **named,
        workdir=ws.state / "training",
        bundles=ws.bundles,
        progress=ws.progress,
        data_id=data_id,
        reference_data_id=reference_id,
        answering=live_inputs(ws),
        **_pairs(ws, table, schema, parts["train"]),
    )
    record = ModelRecord(
        id=trained.model_id,
        model=ws.name,
        task=Task(ws.settings.task),
        origin="trained",
        created_at=ws.clock.now(),
        bundle=trained.model_id,
        data_id=data_id,
        reference_id=reference_id,
        parent=parent,
        classes=named.get("classes", ()),
        recipe=ws.settings.train.model_dump(mode="json"),
        figures=trained.figures,
    )
    file_model(ws, record)
    return record


def _pairs(ws: Workspace, table: pa.Table, schema: Schema, rows: npt.NDArray[np.int64]) -> dict[str, Found]:
    """The argument for judged pairs, where the project names some."""
    found = judged_pairs(ws, table, schema, rows)
    return {} if found is None else {"pairs": found}


def trainer(ws: Workspace, unlabelled: pa.Table | None) -> Callable[..., Trained]:
    """What fits the recipe's kind of model. Only an encoder can learn from rows without labels."""
    model, task = ws.settings.train.model, ws.settings.task
    try:
        if model == ENCODER and task in TWINS:
            if unlabelled is not None:
                raise BackstayError(f"data.unlabelled names rows without {TWINS[task][1]} to learn", fix="take it out")
            return partial(import_module(TWINS[task][0]).fit, root=ws.root)
        if model == ENCODER:
            from backstay.train import loop

            return partial(loop.fit, unlabelled=unlabelled, root=ws.root, teacher=teacher_of(ws), start=start_of(ws))
        without = import_module(WITHOUT.get(task, "backstay.train.classical"))
    except ModuleNotFoundError as error:
        raise BackstayError(
            f"training needs {error.name}, which is not installed",
            fix="install it with `pip install 'backstay[learn]'`",
        ) from error
    if unlabelled is not None:
        raise BackstayError(
            f"data.unlabelled names rows without labels, and train.model = {model!r} needs labels",
            fix="take it out, or train an encoder with an objective that learns without labels",
        )
    fit: Callable[..., Trained] = without.fit
    return fit


def live_inputs(ws: Workspace) -> tuple[InputSpec, ...]:
    """What live requests hold: a successor is to answer them. Empty where nothing that we can run is live."""
    release = ws.catalog.champion(ws.name, ws.environment)
    record = None if release is None else ws.model_record(release.model_id)
    return () if record is None or record.bundle is None else ws.load_model(record).manifest.inputs


def file_model(ws: Workspace, record: ModelRecord) -> None:
    """File a model once; training the same again gives the same id and changes nothing. Signed where a key is given."""
    there = {r.id: r.model for r in ws.catalog.find("model", ModelRecord)}
    if there.get(record.id, ws.name) != ws.name:
        raise BackstayError(
            f"this very model is filed as {there[record.id]!r} already",
            fix=f"use that name, or an environment of {there[record.id]!r}: one model is not two",
        )
    if record.id not in there:
        with ws.ledger.transaction() as tx:
            tx.put("model", record.id, record, **ws.scope)
            tx.append("model", {"model": record.id, "origin": record.origin, "data": record.data_id}, actor=ws.actor)
    sign_if_given(ws, record)
