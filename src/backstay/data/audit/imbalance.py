"""Classes of which there are too few rows to learn, or to judge."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from backstay.data.audit.subject import Subject
from backstay.kernel.records import Finding, Severity

CHECK = "imbalance"
RARE = 0.01
FEW = 30


def check(subject: Subject) -> Iterable[Finding]:
    """MEDIUM for a class of under 30 gate rows (or 30 in all), LOW for one under 1% of the rows."""
    if not len(subject.labels):
        return
    names, counts = np.unique(subject.labels.astype(str), return_counts=True)
    judged = (
        subject.labels[subject.parts["gate"]].astype(str) if "gate" in subject.parts else subject.labels.astype(str)
    )
    few = [(str(n), int((judged == n).sum())) for n in names if (judged == n).sum() < FEW]
    target = str(subject.schema.target)
    if few:
        listing = ", ".join(f"{n} ({c})" for n, c in few[:5])
        yield subject.finding(
            CHECK,
            Severity.MEDIUM,
            f"{len(few)} classes have fewer than {FEW} rows to be judged on: {listing}",
            "bring more rows of them, or merge them with another class",
            columns=(target,),
            count=len(few),
        )
    rare = [str(n) for n, c in zip(names, counts, strict=True) if c < RARE * len(subject.labels)]
    if rare and len(names) < 1 / RARE:
        yield subject.finding(
            CHECK,
            Severity.LOW,
            f"{len(rare)} classes make up less than 1% of the rows each: {', '.join(rare[:5])}",
            "read accuracy beside balanced accuracy and recall",
            columns=(target,),
            count=len(rare),
        )
