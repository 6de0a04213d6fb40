"""Labels as the monitor takes them: joined with what was predicted of their rows."""

from __future__ import annotations

from datetime import UTC

import numpy as np

from backstay.journal.release_log import ReleaseLog
from backstay.kernel.records import Release
from backstay.loop.reference import may_slice, sliced_by, slices_of
from backstay.loop.workspace import Workspace
from backstay.maths.classification import declined
from backstay.monitor.traffic import LabelledRow


def labelled_rows(ws: Workspace, log: ReleaseLog, release: Release) -> tuple[LabelledRow, ...]:
    """Labels of this release's rows, joined with what was predicted. The memory drops those it has counted."""
    labels = ws.catalog.labels(ws.name, ws.environment)
    if not labels:
        return ()
    # By which columns results are told apart is a matter of all rows, not of the few that are labelled.
    sliced = sliced_by(ws, log.inputs(ws.settings.data.slices)) if may_slice(ws) else []
    rows = log.of_ids({label.prediction_id for label in labels}, inputs=sliced, embeddings=False)
    slices = slices_of(ws, rows.inputs, sliced)
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
