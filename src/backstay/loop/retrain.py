"""Train a challenger on old rows and its share of the new labels, and offer it to the gate."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.data.audit import audit as check_all
from backstay.data.audit import overlap
from backstay.data.schema import conform
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import fraction
from backstay.kernel.records import Finding, Release, Schema, Severity
from backstay.labels.training import training_labels
from backstay.loop.examples import bring, keep, learned_from, texts
from backstay.loop.gate_rows import freshest_gate, joined
from backstay.loop.gating import Offered, offer
from backstay.loop.label import live_rows, still_logged
from backstay.loop.policy import check_gate
from backstay.loop.reference import uses_of, with_use, without_use
from backstay.loop.run import train, untrained
from backstay.loop.sign import check_key
from backstay.loop.unlabelled import unlabelled_rows
from backstay.loop.workspace import Workspace

TUNE_SHARE = 0.2


def retrain(ws: Workspace, *, extra: Path | None = None) -> Offered:
    """A challenger for the live release, measured against it on the same rows.

    The gate rows are the labels that were dealt to the gate; where these are fewer than the policy's minimum, the
    unseen rows of the present reference join them. Rows of one group never serve both sides.

    Args:
        extra: labelled rows to learn from as well.
    """
    check_gate(ws)
    check_key()
    from_log = ws.settings.retrain.from_log
    if not from_log and extra is None:
        raise BackstayError(
            "retrain.from_log = false: nothing is learned from the log, and no other rows were named",
            fix="name labelled rows with --rows, or offer a model made elsewhere: `backstay adopt --challenger`",
        )
    champion = ws.champion()
    if champion.reference_id is None:
        raise BackstayError("the live release has no reference rows", fix="adopt with --reference first")
    with ws.progress.step("labelled rows"):
        reference, schema = ws.rows_of(champion.reference_id)
        plain = learned_from(ws, without_use(schema))
        labels = ws.catalog.labels(ws.name, ws.environment)
        rows = live_rows(ws)
        learned = still_logged(ws, training_labels(labels, ws.settings.labels)) if from_log else []
        if not learned and extra is None:
            raise BackstayError(
                "there are no new labels to learn from",
                fix=f"ask for some: `backstay label --request {ws.settings.retrain.labels} --purpose retrain`",
            )
        new_train = joined(rows, learned, plain) if learned else reference.select(list(plain.names)).slice(0, 0)
        measured = freshest_gate(ws, champion, rows, plain)
        old = replayed(old_rows(ws, champion, reference, plain), plain, ws.settings.retrain.replay)
        added = [] if extra is None else [conform(bring(ws, extra), plain)]
        table = apart_from(pa.concat_tables([old, new_train, *added]), measured.table, plain)
        if extra is not None:
            # Rows that somebody hands in are audited as they are: what leaks is named, not quietly left out.
            table = pa.concat_tables([table, *added])
    parts = _parts(table, plain)
    version = keep(ws, table, plain, source="retrain", role="data")
    with ws.progress.step("audit"):
        findings: tuple[Finding, ...] = check_all(
            table, plain, parts, data_id=version.id, task=ws.settings.task, named=ws.settings.data.features is not None
        )
        findings += overlap(table, measured.table, plain, data_id=measured.data_id)
    unlabelled = unlabelled_rows(ws, plain, measured.table)
    findings += unlabelled.findings
    fresh = _reference(new_train, measured.table, plain)
    kept = keep(ws, *fresh, source="retrain#reference", role="reference")
    findings += _thin(ws, measured.table.num_rows, kept.id)
    record = train(
        ws,
        table,
        plain,
        parts,
        data_id=version.id,
        reference_id=kept.id,
        parent=champion.model_id,
        unlabelled=unlabelled.table,
    )
    report, verdict = offer(
        ws,
        record,
        replace(measured, earlier=table),
        training=table.take(pa.array(parts["train"])),
        findings=findings,
        untrained=untrained(ws, table, plain, parts),
    )
    return Offered(record, report, verdict)


def old_rows(ws: Workspace, champion: Release, reference: pa.Table, plain: Schema) -> pa.Table:
    """Rows from before: what the champion learned from if we trained it, else its reference rows."""
    record = ws.model_record(champion.model_id)
    if record.data_id is not None:
        table, trained_schema = ws.rows_of(record.data_id)
        if set(plain.names) <= set(trained_schema.names):
            return table.select(list(plain.names))
    return reference.filter(pa.array(np.isin(uses_of(reference), ("", "train")))).select(list(plain.names))


def replayed(table: pa.Table, schema: Schema, share: float) -> pa.Table:
    """The share of these rows that is learned from again: whole groups, the same ones each time."""
    if share >= 1:
        return table
    return table.filter(pa.array([fraction(key, "replay") < share for key in _keys(table, schema)], pa.bool_()))


def apart_from(table: pa.Table, gate: pa.Table, schema: Schema) -> pa.Table:
    """Rows that share no group and no id with the gate rows."""
    keep_row = np.ones(table.num_rows, dtype=bool)
    for name in (schema.group, schema.id):
        if name is not None:
            taken = set(gate.column(name).to_pylist()) - {None}
            keep_row &= np.array([v is None or v not in taken for v in table.column(name).to_pylist()], dtype=bool)
    return table.filter(pa.array(keep_row))


def _parts(table: pa.Table, schema: Schema) -> dict[str, npt.NDArray[np.int64]]:
    """Training and tuning rows, dealt by group (or row) so that a later retraining deals alike."""
    tune = np.array([fraction(key, "tune") < TUNE_SHARE for key in _keys(table, schema)])
    return {"train": np.flatnonzero(~tune), "tune": np.flatnonzero(tune)}


def _keys(table: pa.Table, schema: Schema) -> list[str]:
    """What is dealt: the group of each row, its id, or else its place."""
    name = schema.group or schema.id
    return [str(k) for k in texts(table, name)] if name else [str(i) for i in range(table.num_rows)]


def _thin(ws: Workspace, unseen: int, reference_id: str) -> tuple[Finding, ...]:
    """What the watch of the challenger will lack where few labelled rows are left that it has not learned from."""
    least = ws.settings.watch.label_free_minimum
    if unseen >= least or ws.settings.task == "multilabel":
        return ()
    wanted = math.ceil(least / (1.0 - ws.settings.labels.train_share))
    return (
        Finding(
            "thin_reference",
            Severity.LOW,
            f"once it is live, its reference has {unseen} labelled rows that it did not learn from: accuracy is not "
            f"estimated without labels below {least}",
            f"raise retrain.labels to some {wanted}, or lower watch.label_free_minimum; labels tell meanwhile",
            reference_id,
            count=unseen,
        ),
    )


def _reference(train_rows: pa.Table, gate: pa.Table, schema: Schema) -> tuple[pa.Table, Schema]:
    """All newly labelled rows: what the detectors of the challenger start from, accuracy known on the gate's share."""
    table = pa.concat_tables([train_rows, gate])
    return with_use(table, schema, ["train"] * train_rows.num_rows + ["gate"] * gate.num_rows)
