"""Values that are not there."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backstay.data.audit.subject import Subject
from backstay.kernel.records import Finding, Severity

CHECK = "missing"
HALF = 0.5
SOME = 0.05


def check(subject: Subject) -> Iterable[Finding]:
    """MEDIUM from half of the rows, LOW from a twentieth."""
    for name in subject.plain_features:
        column = subject.table.column(name)
        empty = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type)).to_numpy()
        share = float(empty.mean()) if len(empty) else 0.0
        if share >= SOME:
            yield subject.finding(
                CHECK,
                Severity.MEDIUM if share >= HALF else Severity.LOW,
                f"{name!r} is missing in {share:.0%} of the rows",
                "find out why; leave the column out with data.ignore if it will be missing live",
                np.flatnonzero(empty),
                columns=(name,),
            )
