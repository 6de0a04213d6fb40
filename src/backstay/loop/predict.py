"""Answer a file of rows with the live model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from backstay.bundle.model import Outputs
from backstay.bundle.sets import labels_in
from backstay.data.write import check_place, write_table
from backstay.journal.rows import Rows
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import event_id
from backstay.loop.examples import bring, group_names, texts
from backstay.loop.given import as_kept
from backstay.loop.workspace import Workspace
from backstay.monitor.windows import stamp


@dataclass(frozen=True)
class Predicted:
    """The answers. `table` has id, label and a column of probability for each class, or id and value of a
    regression, or id, labels (lists) and a column of each label's chance; it is not part of the JSON."""

    rows: int
    release: str
    output: str | None
    logged: bool
    table: pa.Table = field(repr=False, compare=False, default=None)


def predict(ws: Workspace, source: Any, *, output: Path | None = None, record: bool = False) -> Predicted:
    """Answer rows with the champion; with `record` they are logged as live predictions, and handed out only then."""
    if output is not None:
        check_place(Path(output))
    release = ws.champion()
    model_record = ws.model_record(release.model_id)
    model = ws.load_model(model_record)
    table = bring(ws, source)
    _, schema = ws.rows_of(str(release.reference_id))
    table = as_kept(table, schema, model.manifest.columns)
    outputs = model.predict(table)
    if schema.id is not None and schema.id in table.column_names:
        nameless = table.column(schema.id).null_count
        if nameless and record:
            raise BackstayError(
                f"{nameless} of {table.num_rows} rows have nothing in the column {schema.id!r}",
                fix="give each row that is to be logged an id, or leave the column out: ids are then made",
            )
        ids = texts(table, schema.id)
    else:
        ids = np.array([event_id("p") for _ in range(table.num_rows)], dtype=object)
    columns: dict[str, Any] = {"id": pa.array([str(i) for i in ids])}
    if outputs.numbers is not None:
        columns["value"] = pa.array(outputs.numbers)
    elif outputs.members is not None:
        columns["labels"] = _sets(outputs, output)
    else:
        columns["label"] = pa.array([str(v) for v in outputs.labels])
    if outputs.scores is not None:
        for place, name in enumerate(model.classes):
            columns[f"p({name})"] = pa.array(outputs.scores[:, place])
    answers = pa.table(columns)
    # Written first, shown last: the log would refuse a second attempt for the ids that it has already.
    waiting = None if output is None else Path(output).with_name(f".{event_id('answers')}{Path(output).suffix}")
    if waiting is not None:
        write_table(answers, waiting)
    if record:
        rows = Rows(
            ids=ids,
            times=np.full(table.num_rows, stamp(ws.clock.now()), dtype="datetime64[us]"),
            releases=np.full(table.num_rows, release.id, dtype=object),
            predictions=outputs.labels,
            scores=outputs.scores,
            embeddings=outputs.embeddings,
            groups=group_names(table, schema.group),
            inputs=table.select([c for c in schema.names if c in table.column_names and c != schema.target]),
        )
        try:
            ws.journal.add(rows, model=ws.name, environment=ws.environment)
        except BaseException:
            if waiting is not None:
                waiting.unlink(missing_ok=True)
            raise
    if waiting is not None and output is not None:
        waiting.replace(output)
    return Predicted(table.num_rows, release.id, None if output is None else str(output), record, answers)


def _sets(outputs: Outputs, output: Path | None) -> pa.Array:
    """The sets as lists; as their text in a file of separated text, which has no lists."""
    if output is not None and Path(output).suffix.lower() in (".csv", ".tsv"):
        return pa.array([str(v) for v in outputs.labels], pa.string())
    return pa.array([list(labels_in(v)) for v in outputs.labels], pa.list_(pa.string()))
