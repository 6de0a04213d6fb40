"""Log predictions that were made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from backstay.journal.importing import rows_from
from backstay.loop.examples import bring
from backstay.loop.workspace import Workspace


@dataclass(frozen=True)
class Logged:
    """How many predictions were logged, and for which release."""

    rows: int
    release: str
    first: str
    last: str


def log(ws: Workspace, source: Any) -> Logged:
    """Log a file or frame of predictions of the live release: all rows, or none with the reason.

    Raises:
        BackstayError: a missing column, a duplicate id, an id logged before, a time without a zone.
    """
    release = ws.champion()
    record = ws.model_record(release.model_id)
    if isinstance(source, list):
        source = pa.Table.from_pylist(source)
    table = bring(ws, source)
    rows = rows_from(
        table,
        ws.settings.predictions,
        ws.settings.data.time_zone,
        classes=record.classes,
        none_label=ws.none_label(record),
        release=release.id,
        now=ws.clock.now(),
    )
    ws.journal.add(rows, model=ws.name, environment=ws.environment)
    times = sorted(str(t) for t in rows.times)
    return Logged(len(rows), release.id, times[0], times[-1])
