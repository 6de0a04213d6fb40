"""Log predictions that were made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from backstay.journal.importing import latencies_of, rows_from
from backstay.journal.rows import Rows
from backstay.journal.skew import never_set, too_far_ahead
from backstay.kernel.errors import BackstayError
from backstay.loop.examples import bring
from backstay.loop.unlike_columns import unlike_columns
from backstay.loop.workspace import Workspace


@dataclass(frozen=True)
class Logged:
    """How many predictions were logged, for which release, and notes on columns unlike those of the reference."""

    rows: int
    release: str
    first: str
    last: str
    notes: tuple[str, ...] = ()


def log(ws: Workspace, source: Any) -> Logged:
    """Log a file or frame of predictions of the live release: all rows, or none with the reason.

    Raises:
        BackstayError: a missing column, a duplicate id, an id logged before, a time without a zone, before 1990 or
            more than a day ahead of now, a latency that is none.
    """
    release = ws.champion()
    record = ws.model_record(release.model_id)
    if isinstance(source, list):
        source = pa.Table.from_pylist(source)
    table = bring(ws, source)
    names = ws.settings.predictions
    rows = rows_from(
        table,
        names,
        ws.settings.data.time_zone,
        classes=record.classes,
        none_label=ws.none_label(record),
        release=release.id,
        now=ws.clock.now(),
    )
    rows = replace(rows, latencies=latencies_of(table, names.latency))
    refuse_wrong_times(rows, names.time, ws.clock.now())
    ws.journal.add(rows, model=ws.name, environment=ws.environment)
    times = sorted(str(t) for t in rows.times)
    known = None if release.reference_id is None else ws.data_version(release.reference_id).schema
    notes = () if known is None else unlike_columns(rows.inputs, known)
    return Logged(len(rows), release.id, times[0], times[-1], notes)


def refuse_wrong_times(rows: Rows, column: str | None, now: datetime) -> None:
    """Rows of times to come would lie in the log unjudged until then, and one of 1970 would make a window of decades.

    Raises:
        BackstayError: some of these rows have such a time: nothing was kept of any.
    """
    ahead = f"more than a day ahead of now, {now:%Y-%m-%d %H:%M} UTC"
    for strange, what, fix in (
        (too_far_ahead(rows.times, now), ahead, "this machine's clock"),
        (never_set(rows.times), "before 1990, as where no time was known", "leave these rows out"),
    ):
        if strange.any():
            first = int(np.flatnonzero(strange)[0])
            raise BackstayError(
                f"{int(strange.sum())} of {len(rows)} rows are dated {what} (the first is {str(rows.ids[first])!r}, "
                f"{str(rows.times[first])[:16]}); nothing was added",
                fix=f"correct the times in {column!r}, or {fix}",
            )
