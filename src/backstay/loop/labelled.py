"""Labels as the monitor takes them: joined with what was predicted of their rows."""

from __future__ import annotations

from datetime import UTC

import numpy as np

from backstay.journal.rows import Rows
from backstay.kernel.records import Release
from backstay.loop.reference import slices_of
from backstay.loop.workspace import Workspace
from backstay.maths.classification import declined
from backstay.monitor.traffic import LabelledRow


def labelled_rows(ws: Workspace, rows: Rows, release: Release) -> tuple[LabelledRow, ...]:
    """Labels of this release's rows, joined with what was predicted. The memory drops those it has counted."""
    labels = ws.catalog.labels(ws.name, ws.environment)
    wanted = {label.prediction_id for label in labels}
    # Of a long log few rows are labelled: of the others nothing is turned into Python values.
    held = np.array([i for i, row_id in enumerate(rows.ids) if str(row_id) in wanted], dtype=np.int64)
    slices = {name: values[held] for name, values in slices_of(ws, rows.inputs).items()}
    rows = rows.take(held)
    places = {str(row_id): i for i, row_id in enumerate(rows.ids)}
    census = set(ws.settings.labels.census_sources)
    record = ws.model_record(release.model_id)
    none_label = ws.none_label(record)
    # Turned into Python values at once: a census of a year is tens of thousands of labels.
    times = rows.times.astype("datetime64[us]").tolist()
    scores = None if rows.scores is None else rows.scores.tolist()
    scored = np.full(len(rows), True) if rows.scored is None else rows.scored
    found: list[LabelledRow] = []
    for label in labels:
        place = places.get(label.prediction_id)
        if place is not None:
            given = None if scores is None or not scored[place] else tuple(scores[place])
            at = times[place].replace(tzinfo=UTC)
            answer = str(rows.predictions[place])
            none = declined(answer, label.value, record.classes, none_label)
            mine = {name: str(values[place]) for name, values in slices.items() if values[place] is not None}
            found.append(LabelledRow(label, answer, at, given, label.source in census, none, mine))
    return tuple(found)
