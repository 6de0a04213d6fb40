"""Labels of which there are too few rows, that are in every row, or that only the gate knows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from backstay.bundle.sets import labels_of, members
from backstay.data.audit.subject import Subject
from backstay.kernel.records import Finding, Severity

CHECK = "label_sets"
FEW = 30
FEW_TRAIN = 10
MOST_TOLD = 5


def check(subject: Subject) -> Iterable[Finding]:
    """MEDIUM for labels that no training row has, in too few rows to learn (10) or to judge (30 of the gate), or in
    every row; LOW for sets that all have one label (they are classes), and for the share of empty sets."""
    if not len(subject.labels):
        return
    labels = labels_of(subject.labels)
    there = members(subject.labels, labels)
    target = str(subject.schema.target)
    train = there[subject.parts["train"]] if "train" in subject.parts else there
    judged = there[subject.parts["gate"]] if "gate" in subject.parts else there
    learned, tested = train.sum(axis=0), judged.sum(axis=0)
    cases = (
        (learned == 0, learned, "no training row has", "the model cannot answer them: bring rows with them"),
        (
            (learned > 0) & (learned < FEW_TRAIN),
            learned,
            f"fewer than {FEW_TRAIN} training rows have",
            "bring more rows with them, or leave them out of the sets",
        ),
        (
            (learned > 0) & (tested < FEW),
            tested,
            f"fewer than {FEW} rows judge",
            "bring more rows with them; read macro_f1 and mean_average_precision with care",
        ),
        (there.all(axis=0), learned, "every row has", "leave them out: they tell nothing"),
    )
    for found, counts, what, fix in cases:
        if found.any():
            places = np.flatnonzero(found)
            listing = ", ".join(f"{labels[p]} ({counts[p]})" for p in places[:MOST_TOLD])
            message = f"{what} {len(places)} of {len(labels)} labels: {listing}"
            yield subject.finding(CHECK, Severity.MEDIUM, message, fix, columns=(target,), count=len(places))
    sizes = there.sum(axis=1)
    if np.all(sizes == 1):
        yield subject.finding(
            CHECK,
            Severity.LOW,
            f"every row has exactly one of {len(labels)} labels",
            'these are classes: task = "classification" says more of them',
            columns=(target,),
            count=len(sizes),
        )
    empty = np.flatnonzero(sizes == 0)
    if len(empty):
        yield subject.finding(
            CHECK,
            Severity.LOW,
            f"{len(empty)} rows ({len(empty) / len(sizes):.1%}) have no label",
            "an empty set is an answer; leave rows out of which nobody knows the labels",
            rows=empty,
            columns=(target,),
        )
