"""A part with one class teaches and judges nothing."""

from __future__ import annotations

from collections.abc import Iterable

from backstay.data.audit.subject import Subject
from backstay.kernel.records import Finding, Severity

CHECK = "single_class"
MANY = 30
"""Different numbers as classes, above which they may be a measured number."""


def check(subject: Subject) -> Iterable[Finding]:
    """HIGH for a part with one class, and for gate classes that training rows do not have."""
    if not len(subject.labels):
        return
    by_part = {name: set(subject.labels[rows].tolist()) for name, rows in subject.parts.items() if len(rows)}
    target = str(subject.schema.target)
    for name, classes in by_part.items():
        if len(classes) == 1:
            yield subject.finding(
                CHECK,
                Severity.HIGH,
                f"all rows of the part {name!r} have the class {next(iter(classes))!r}",
                "bring rows of the other classes, or split in another way",
                columns=(target,),
                count=len(subject.parts[name]),
            )
    strangers = sorted(by_part.get("gate", set()) - by_part.get("train", by_part.get("gate", set())))
    if strangers:
        numbers = len(set(subject.labels.tolist())) > MANY and all(_is_number(c) for c in set(subject.labels.tolist()))
        yield subject.finding(
            "unseen_classes",
            Severity.HIGH,
            f"the gate has classes that no training row has: {', '.join(strangers[:5])}",
            'if the target is a measured number, set task = "regression" in the project file; else '
            "bring training rows of them, or take them out"
            if numbers
            else "bring training rows of them, or take them out",
            columns=(target,),
            count=len(strangers),
        )


def _is_number(label: object) -> bool:
    try:
        float(str(label))
    except ValueError:
        return False
    return True
