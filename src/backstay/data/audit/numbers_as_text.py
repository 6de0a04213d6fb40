"""Numbers that are read as categories, since the file writes them as text.

With a comma for the point ("1,23"), with a sign of money, or in a column of text. As categories they have neither order
nor distance, and each value of its own teaches next to nothing. Only features are looked at; what is a code stays one.
"""

from __future__ import annotations

from collections.abc import Iterable

from backstay.data.audit.subject import Subject
from backstay.data.numbers_as_text import written_numbers
from backstay.kernel.records import ColumnKind, Finding, Severity

CHECK = "numbers_as_text"
TEXTS = frozenset({ColumnKind.CATEGORY, ColumnKind.TEXT})


def check(subject: Subject) -> Iterable[Finding]:
    """MEDIUM for fractions, LOW for whole numbers of more than twelve different values, which may be codes."""
    for name in subject.schema.features:
        column = subject.schema.column(name)
        found = written_numbers(subject.table.column(name)) if column.kind in TEXTS else None
        if found is not None:
            yield subject.finding(
                CHECK,
                Severity.LOW if found.whole else Severity.MEDIUM,
                f"{name!r} is read as a {column.kind.value}, and its values as numbers, for example {found.example!r}",
                found.fix,
                columns=(name,),
                count=subject.table.num_rows,
            )
