"""The monitoring page: what the newest window said, with rows of then and now side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from backstay.journal.rows import Rows
from backstay.kernel.records import ColumnKind, Decision, Release, Schema, Task, WindowResult
from backstay.loop.erasures import erased_since
from backstay.loop.lookup import MOST_EXAMPLES, example_ids
from backstay.loop.reference import pixels_of
from backstay.loop.whole_file import write_whole
from backstay.loop.workspace import USE_COLUMN, Workspace
from backstay.render.examples import Example
from backstay.render.watch_page import watch_page


def write_watch_page(
    ws: Workspace,
    page: Path,
    result: WindowResult,
    history: Sequence[WindowResult],
    rows: Rows,
    release: Release,
    decision: Decision | None,
    notes: Sequence[str] = (),
) -> Path:
    """Write the page of a window. `rows`: those that it names, at least. `notes`: what was noticed at this look."""
    before: tuple[Example, ...] = ()
    missed: dict[int, Example] = {}
    if release.reference_id is not None:
        table, schema = ws.rows_of(release.reference_id)
        spread = np.linspace(0, table.num_rows - 1, min(MOST_EXAMPLES, table.num_rows)).astype(np.int64)
        before = tuple(examples_of(table.take(pa.array(spread)), schema))
        cells = () if result.located is None else result.located.cells
        places = [row for cell in cells for row in cell.reference_rows]
        if places and not erased_since(ws.catalog, release.reference_id, result.created_at):
            missed = dict(zip(places, examples_of(table.take(pa.array(places)), schema), strict=True))
    html = watch_page(
        result,
        history,
        model=ws.name,
        environment=ws.environment,
        examples=_named(result, rows, schema_of(ws, release), ws.model_record(release.model_id).task),
        reference_examples=before,
        missed_examples=missed,
        decision=decision,
        notes=notes,
    )
    return write_page(page, html)


def schema_of(ws: Workspace, release: Release) -> Schema:
    """The schema of the release's reference rows: what the logged inputs are."""
    return ws.data_version(str(release.reference_id)).schema


def _named(result: WindowResult, rows: Rows, schema: Schema, task: Task) -> dict[str, Example]:
    wanted = example_ids(result)
    places = [i for i, row_id in enumerate(rows.ids) if str(row_id) in wanted]
    chosen = rows.take(np.array(places, dtype=np.int64))
    if not places:
        return {}
    shown = [Example(None)] * len(places) if chosen.inputs is None else examples_of(chosen.inputs, schema)
    found: dict[str, Example] = {}
    # The chance of the likeliest label is not that of the whole set.
    scores = None if task is Task.MULTILABEL else chosen.scores
    for i, example in enumerate(shown):
        confidence = None if scores is None or np.isnan(scores[i]).any() else float(scores[i].max())
        found[str(chosen.ids[i])] = Example(example.image, example.columns, str(chosen.predictions[i]), confidence)
    return found


def examples_of(table: pa.Table, schema: Schema) -> list[Example]:
    """Rows as people look at them: the picture where there is one, else the columns."""
    kinds = {c.name: c.kind for c in schema.columns}
    pictures = [f.name for f in table.schema if isinstance(f.type, pa.FixedShapeTensorType)]
    image = next((n for n in pictures if kinds.get(n) is ColumnKind.IMAGE), None)
    pixels = None if image is None else pixels_of(table, image)
    plain = table.select([n for n in table.column_names if n not in (image, USE_COLUMN)]).to_pylist()
    return [
        Example(None if pixels is None else pixels[i], {k: v for k, v in row.items() if v is not None})
        for i, row in enumerate(plain)
    ]


def write_page(page: Path, html: str) -> Path:
    """Write a page whole or not at all."""
    return write_whole(page, html, fix="name another place with --page")
