"""A feature that tells the target almost alone: usually it was written after the outcome was known."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backstay.data.audit.subject import Subject
from backstay.kernel.records import ColumnKind, Finding, Severity

CHECK = "target_leak"
TELLS = 0.98
BINS = 64
LARGEST = 40_000
FEWEST = 40


def check(subject: Subject) -> Iterable[Finding]:
    """Balanced accuracy, on held-out rows, of the best guess from one feature alone; HIGH from 98%."""
    if len(subject.labels) < FEWEST:
        return
    rows = np.random.default_rng(0).permutation(len(subject.labels))[:LARGEST]
    labels = np.unique(subject.labels[rows].astype(str), return_inverse=True)[1]
    if labels.max() == 0:
        return
    table = subject.table.select(list(subject.plain_features)).take(pa.array(rows))
    for name in subject.plain_features:
        codes = _codes(table.column(name), subject.schema.column(name).kind)
        told = told_by(codes, labels)
        if told >= TELLS:
            alone = len(subject.schema.features) == 1
            yield subject.finding(
                CHECK,
                Severity.MEDIUM if alone else Severity.HIGH,
                f"{name!r} alone tells the target {subject.schema.target!r} in {told:.1%} of held-out rows (balanced)",
                "if it is known only after the outcome, leave it out with data.ignore",
                columns=(name,),
                count=len(rows),
            )


def told_by(codes: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> float:
    """Mean recall over classes on the second half, guessing each code's commonest class of the first half."""
    half = len(codes) // 2
    votes = np.zeros((codes.max() + 1, labels.max() + 1), dtype=np.int64)
    np.add.at(votes, (codes[:half], labels[:half]), 1)
    # Each vote is relative to its class, so that the commonest class does not win every code.
    shares = votes / np.maximum(np.bincount(labels[:half], minlength=votes.shape[1]), 1)
    guess = shares.argmax(axis=1)
    guess[votes.sum(axis=1) == 0] = np.bincount(labels[:half]).argmax()
    held = labels[half:]
    right = guess[codes[half:]] == held
    return float(np.mean([right[held == c].mean() for c in np.unique(held)]))


def _codes(column: pa.ChunkedArray, kind: ColumnKind) -> npt.NDArray[np.int64]:
    if kind in (ColumnKind.CATEGORY, ColumnKind.TEXT, ColumnKind.BOOLEAN):
        encoded = column.combine_chunks().dictionary_encode()
        return np.asarray(pc.fill_null(encoded.indices, len(encoded.dictionary)).to_numpy(), dtype=np.int64)
    whole = column.cast(pa.int64()) if kind is ColumnKind.TIME else column
    values = whole.cast(pa.float64(), safe=False).to_numpy()
    gap = np.isnan(values)
    if gap.all():
        return np.zeros(len(values), dtype=np.int64)
    known = np.unique(values[~gap])
    edges = known if len(known) <= BINS else np.unique(np.quantile(values[~gap], np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.where(gap, 0, 1 + np.searchsorted(edges, values, side="right"))
