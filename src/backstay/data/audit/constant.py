"""Features that never change."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow.compute as pc

from backstay.data.audit.subject import Subject
from backstay.kernel.records import Finding, Severity

CHECK = "constant"


def check(subject: Subject) -> Iterable[Finding]:
    """One value in all rows: harmless, and useless."""
    for name in subject.plain_features:
        if pc.count_distinct(subject.table.column(name), mode="all").as_py() == 1:
            value = subject.table.column(name)[0]
            yield subject.finding(
                CHECK,
                Severity.LOW,
                f"{name!r} is {value} in every row",
                "leave it out with data.ignore, or find out why it never changes",
                columns=(name,),
                count=subject.table.num_rows,
            )
