"""Training rows that are younger than the gate's: the gate then measures the past."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from backstay.data.audit.subject import Subject
from backstay.kernel.records import Finding, Severity

CHECK = "time_order"
SPREAD = 0.5


def check(subject: Subject) -> Iterable[Finding]:
    """MEDIUM where times are known and most training rows are not older than the gate's oldest rows."""
    name = subject.schema.time
    if name is None or "gate" not in subject.parts or "train" not in subject.parts:
        return
    column = subject.table.column(name)
    known = column.is_valid().to_numpy()
    times = column.cast(pa.int64()).fill_null(0).to_numpy()
    train, gate = (rows[known[rows]] for rows in (subject.parts["train"], subject.parts["gate"]))
    if not len(train) or not len(gate):
        return
    later = train[times[train] > np.quantile(times[gate], 0.05)]
    if len(later) > SPREAD * len(train):
        yield subject.finding(
            CHECK,
            Severity.MEDIUM,
            f"{len(later) / len(train):.0%} of the training rows are younger than the oldest gate rows",
            'set data.split.by = "time" to measure on the newest rows, as the model will be used',
            later,
            columns=(name,),
        )
