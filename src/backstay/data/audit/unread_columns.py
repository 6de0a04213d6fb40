"""Texts and vectors beside other columns: nothing is learned from them.

An encoder learns from a text or a vector alone, and a model of a table from numbers and categories. Where no features
were named, the texts and vectors are therefore left out. Not looked at where `data.features` names the features.
"""

from __future__ import annotations

from collections.abc import Iterable

from backstay.data.audit.subject import Subject
from backstay.data.schema import ALONE
from backstay.data.watching import is_free_text
from backstay.kernel.records import ColumnKind, Finding, Severity

CHECK = "unread_columns"


def check(subject: Subject) -> Iterable[Finding]:
    """MEDIUM for sentences and vectors, which may well tell the most; LOW for texts that are rather names."""
    schema = subject.schema
    roles = {schema.target, schema.id, schema.time, schema.group, *schema.features}
    for column in schema.columns:
        if column.kind not in ALONE or column.name in roles:
            continue
        telling = column.kind is ColumnKind.VECTOR or is_free_text(subject.table.column(column.name))
        yield subject.finding(
            CHECK,
            Severity.MEDIUM if telling else Severity.LOW,
            f"{column.name!r} holds {column.kind.value}s, which are learned from alone: beside "
            f"{len(schema.features)} other feature{'' if len(schema.features) == 1 else 's'} it is left out",
            f"set data.features = [{column.name!r}] to learn from it instead, declare it a category under "
            f"data.columns, or leave it out with data.ignore",
            columns=(column.name,),
            count=subject.table.num_rows,
        )
