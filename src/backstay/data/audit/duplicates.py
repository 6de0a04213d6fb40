"""Rows that repeat: the same id twice, the same content twice, the same features under different labels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from backstay.data.audit.subject import Subject
from backstay.data.fingerprints import fingerprints
from backstay.kernel.records import Finding, Severity

CHECK = "duplicates"
MANY = 0.01


def check(subject: Subject) -> Iterable[Finding]:
    """Repeated ids are HIGH: labels and predictions are joined by them."""
    if subject.schema.id is not None:
        repeated = _later(fingerprints(subject.table, subject.schema, (subject.schema.id,)))
        if len(repeated):
            yield subject.finding(
                CHECK,
                Severity.HIGH,
                f"{len(repeated)} rows repeat an id of an earlier row",
                "give each row an id of its own, or declare no data.id",
                repeated,
                columns=(subject.schema.id,),
            )
    target = () if subject.schema.target is None else (subject.schema.target,)
    repeated = _later(fingerprints(subject.table, subject.schema, (*subject.schema.features, *target)))
    if len(repeated):
        share = len(repeated) / max(subject.table.num_rows, 1)
        yield subject.finding(
            CHECK,
            Severity.MEDIUM if share >= MANY else Severity.LOW,
            f"{len(repeated)} rows ({share:.1%}) repeat all features and the target of an earlier row",
            "remove the copies, unless each stands for a case of its own",
            repeated,
        )
    if target:
        yield from _contradictions(subject)


def _contradictions(subject: Subject) -> Iterable[Finding]:
    labels = np.unique(subject.labels.astype(str), return_inverse=True)[1]
    code = np.unique(subject.content, return_inverse=True)[1]
    low, high = np.full(code.max(initial=0) + 1, labels.max(initial=0) + 1), np.full(code.max(initial=0) + 1, -1)
    np.minimum.at(low, code, labels)
    np.maximum.at(high, code, labels)
    rows = np.flatnonzero((low != high)[code])
    if len(rows):
        yield subject.finding(
            "contradictions",
            Severity.MEDIUM if len(rows) >= MANY * len(code) else Severity.LOW,
            f"{len(rows)} rows have the same features as another row and a different target",
            "look at them: no model can get both right",
            rows[np.argsort(code[rows], kind="stable")],
        )


def _later(prints: np.ndarray[tuple[int, ...], np.dtype[np.uint64]]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    first = np.unique(prints, return_index=True)[1]
    later = np.ones(len(prints), dtype=bool)
    later[first] = False
    return np.flatnonzero(later)
