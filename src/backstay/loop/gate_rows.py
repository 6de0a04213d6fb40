"""The rows that judge a candidate: fresh labels kept for the gate, or the unseen rows of the live reference."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from backstay.bundle.model import Outputs
from backstay.data.schema import conform
from backstay.journal.rows import Rows
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Label, Release, Schema
from backstay.labels.training import gate_labels
from backstay.loop.examples import keep
from backstay.loop.gate_case import GateRows
from backstay.loop.label import still_logged
from backstay.loop.reference import gate_rows
from backstay.loop.workspace import Workspace


def freshest_gate(ws: Workspace, champion: Release, rows: Rows, schema: Schema) -> GateRows:
    """Labels of the live release's time that were dealt to the gate, joined with their rows.

    Where nothing is taken from the log (`retrain.from_log`), they are the unseen rows of the present reference alone.
    Where they are fewer than the policy's minimum, the unseen rows of the present reference join them.

    Args:
        rows: the logged predictions. schema: that of the reference rows, without the column of uses.
    """
    given = gate_labels(ws.catalog.labels(ws.name, ws.environment)) if ws.settings.retrain.from_log else []
    labels = still_logged(ws, [label for label in given if label.at >= champion.created_at])
    record = ws.model_record(champion.model_id)
    # What a model that lives elsewhere answered is read from the log: only whole answers can be compared with.
    rows = rows.whole() if record.bundle is None else rows
    fresh = joined(rows, labels, schema) if labels else None
    needed = ws.settings.gate.minimum_n
    if fresh is None or fresh.num_rows < needed:
        old = gate_rows(ws, champion)
        if fresh is None:
            return old
        if record.bundle is None:
            raise BackstayError(
                f"{fresh.num_rows} new labels are kept for the gate, the policy asks for {needed}",
                fix=f"ask for more: `backstay label --request {2 * needed} --purpose retrain`",
            )
        fresh = pa.concat_tables([old.table.select(list(schema.names)), fresh])
    version = keep(ws, fresh, schema, source="labels#gate", role="gate")
    outputs = _logged_answers(rows, fresh, schema) if record.bundle is None else None
    return GateRows(fresh, schema, version.id, outputs)


def joined(rows: Rows, labels: list[Label], schema: Schema) -> pa.Table:
    """Logged inputs with their true labels, under the schema of the reference. Rows not logged are left out."""
    if rows.inputs is None:
        raise BackstayError(
            "the inputs of predictions are not logged, so nothing can be learned from them",
            fix='set serve.log_inputs = "all", or train elsewhere and use `backstay adopt --challenger`',
        )
    places = _described(rows)
    known = [(places[label.prediction_id], label) for label in labels if label.prediction_id in places]
    chosen = rows.take(np.array([place for place, _ in known], dtype=np.int64))
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    for column in schema.columns:
        if column.name == schema.target:
            columns[column.name] = pa.array([label.value for _, label in known], pa.string())
        elif column.name in schema.features and chosen.inputs is not None and column.name in chosen.inputs.column_names:
            columns[column.name] = chosen.inputs.column(column.name)
        elif column.name == schema.id:
            columns[column.name] = pa.array([str(i) for i in chosen.ids], pa.string())
        elif column.name == schema.time:
            columns[column.name] = pa.array(chosen.times, pa.timestamp("us", tz="UTC"))
        elif column.name == schema.group and chosen.groups is not None:
            columns[column.name] = pa.array([None if g is None else str(g) for g in chosen.groups], pa.string())
        elif chosen.inputs is not None and column.name in chosen.inputs.column_names:
            columns[column.name] = chosen.inputs.column(column.name)
        elif column.nullable and column.name not in schema.features:
            columns[column.name] = pa.nulls(len(known), pa.string())
        else:
            raise BackstayError(
                f"the log has no column {column.name!r}, which the reference rows have",
                fix="log it with each prediction, or leave it out of the reference rows",
            )
    return conform(pa.table(columns), schema)


def _described(rows: Rows) -> dict[str, int]:
    """The places of rows that were logged with their inputs, by id."""
    has = np.full(len(rows), True) if rows.described is None else rows.described
    return {str(row_id): i for i, row_id in enumerate(rows.ids) if has[i]}


def _logged_answers(rows: Rows, table: pa.Table, schema: Schema) -> Outputs:
    """What a model that lives elsewhere answered on these rows, by id."""
    if schema.id is None:
        raise BackstayError(
            "the reference rows have no id column", fix="name it as data.id, so that answers can be joined"
        )
    places = {str(row_id): i for i, row_id in enumerate(rows.ids)}
    order = np.array([places[str(i)] for i in table.column(schema.id).to_pylist()], dtype=np.int64)
    chosen = rows.take(order)
    return Outputs(chosen.predictions, chosen.scores, chosen.embeddings)
