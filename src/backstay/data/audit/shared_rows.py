"""Rows that train and gate share: exact copies, near-copies, ids. A gate that was learned by heart measures nothing.

Rows of few coarse columns coincide by chance, and a near-twin by chance proves nothing either: what counts is how
much more often gate rows meet a twin in training than training rows meet one among themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.data.audit.matrix import row_matrix
from backstay.data.audit.nearest import nearest, shrink
from backstay.data.audit.subject import EXAMPLES, WIDE, Subject
from backstay.data.fingerprints import Fingerprints, fingerprints
from backstay.data.targets import class_texts
from backstay.kernel.records import ColumnKind, Finding, Schema, Severity

CHECK = "overlap"
MATTERS = 0.005
NEAR_MATTERS = 0.01
NEAR = 0.15
SLACK = 3.0
QUERIES = 1000
GALLERY = 30_000
SEED = 20_260_101


def check(subject: Subject) -> Iterable[Finding]:
    """Compare the train and tune parts with the gate part."""
    if "gate" not in subject.parts:
        return []
    learned = np.concatenate([subject.parts[p] for p in ("train", "tune") if p in subject.parts] or [np.array([], int)])
    gate = subject.parts["gate"]
    if not len(learned) or not len(gate):
        return []
    seen = subject.table.take(pa.array(learned))
    return compare(seen, subject.table.take(pa.array(gate)), subject.schema, subject.data_id, places=gate)


def compare(
    train: pa.Table, gate: pa.Table, schema: Schema, data_id: str, *, places: npt.NDArray[np.int64] | None = None
) -> tuple[Finding, ...]:
    """Findings on what both tables share. Example rows are gate row numbers, or `places` of them."""
    if not train.num_rows or not gate.num_rows or not schema.features:
        return ()
    ours = fingerprints(train, schema, schema.features)
    theirs = fingerprints(gate, schema, schema.features)
    where = np.arange(gate.num_rows) if places is None else places
    twin = np.isin(theirs, ours)
    found = [*_same_ids(train, gate, schema, data_id, where), *_copies(train, schema, ours, twin, data_id, where)]
    found += _near(train, gate, schema, (ours, theirs), data_id, where)
    return tuple(found)


def _same_ids(
    train: pa.Table, gate: pa.Table, schema: Schema, data_id: str, where: npt.NDArray[np.int64]
) -> Iterator[Finding]:
    if schema.id is None or schema.id not in train.column_names:
        return
    same = np.isin(fingerprints(gate, schema, (schema.id,)), fingerprints(train, schema, (schema.id,)))
    if same.any():
        yield Finding(
            CHECK,
            Severity.HIGH,
            f"{same.sum()} of {len(same)} gate rows have an id that is also in the training rows",
            "take those rows out of the training rows",
            data_id,
            (schema.id,),
            tuple(int(r) for r in where[same][:EXAMPLES]),
            int(same.sum()),
        )


def _copies(
    train: pa.Table,
    schema: Schema,
    ours: Fingerprints,
    twin: npt.NDArray[np.bool_],
    data_id: str,
    where: npt.NDArray[np.int64],
) -> Iterator[Finding]:
    if not twin.any():
        return
    share, chance = float(twin.mean()), _coincidence(train, schema, ours)
    grave = share >= MATTERS and share > chance + SLACK * np.sqrt(max(chance, 1 / len(twin)) / len(twin))
    severity = Severity.HIGH if grave else Severity.MEDIUM if chance == 0 else Severity.LOW
    reason = (
        ""
        if chance == 0
        else f"; by chance {chance:.1%} would, since rows with equal features repeat with other labels"
    )
    yield Finding(
        CHECK,
        severity,
        f"{twin.sum()} of {len(twin)} gate rows ({share:.1%}) are in the training rows too, feature by feature{reason}",
        "take those rows out of the training rows, or declare data.group so that copies stay together",
        data_id,
        schema.features[:5],
        tuple(int(r) for r in where[twin][:EXAMPLES]),
        int(twin.sum()),
    )


def _coincidence(train: pa.Table, schema: Schema, ours: Fingerprints) -> float:
    """Share of training rows that have a twin by coincidence; 0 where twins can only be copies.

    Copies of a row agree in its label. Coarse rows that coincide do not always: only where they disagree, or where
    there is no label to tell, repeats among training rows are taken for chance.
    """
    if any(schema.column(f).kind in WIDE for f in schema.features):
        return 0.0
    _, code, counts = np.unique(ours, return_inverse=True, return_counts=True)
    repeated = counts[code] > 1
    if all(schema.column(f).kind is ColumnKind.TEXT for f in schema.features):
        # People say the same thing again: how often they do among the training rows is what chance is.
        return float(repeated.mean())
    if not repeated.any() or schema.target is None or schema.target not in train.column_names:
        return float(repeated.mean())
    labels = np.unique(class_texts(train.column(schema.target)).astype(str), return_inverse=True)[1]
    low, high = np.full(len(counts), labels.max() + 1), np.full(len(counts), -1)
    np.minimum.at(low, code, labels)
    np.maximum.at(high, code, labels)
    mixed = (low != high)[code] & repeated
    return float(repeated.mean()) if mixed.sum() >= 0.02 * repeated.sum() else 0.0


def _near(
    train: pa.Table,
    gate: pa.Table,
    schema: Schema,
    prints: tuple[Fingerprints, Fingerprints],
    data_id: str,
    where: npt.NDArray[np.int64],
) -> Iterator[Finding]:
    """Gate rows much nearer to a training row than training rows are to each other; exact copies left out."""
    rng = np.random.default_rng(SEED)
    ours, theirs = prints
    first = np.sort(np.unique(ours, return_index=True)[1])
    rest = np.flatnonzero(~np.isin(theirs, ours))
    if len(first) < 50 or not len(rest):
        return
    gallery = rng.permutation(first)[:GALLERY]
    asked = np.sort(rng.permutation(rest)[:QUERIES])
    g, q = shrink(row_matrix([train.take(pa.array(gallery)), gate.take(pa.array(asked))], schema))
    among = nearest(g[:QUERIES], g, 1, itself=True)[0][:, 0]
    across = nearest(q, g, 1)[0][:, 0]
    limit = NEAR * float(np.median(among))
    close, usual = across < limit, float((among < limit).mean())
    share = float(close.mean())
    if limit <= 0 or share < NEAR_MATTERS:
        return
    grave = share > usual + NEAR_MATTERS + SLACK * np.sqrt(max(usual, 1 / len(close)) / len(close))
    if not grave and usual > share / 2:
        return
    yield Finding(
        "near_overlap",
        Severity.HIGH if grave else Severity.MEDIUM,
        f"{close.sum()} of {len(close)} gate rows looked at ({share:.1%}) have a near-copy in the training rows; "
        f"among training rows {usual:.1%} have one",
        "take the near-copies out of the training rows, or declare data.group so that they stay together",
        data_id,
        schema.features[:5],
        tuple(int(r) for r in where[asked[close]][:EXAMPLES]),
        int(close.sum()),
    )
