"""A group (a person, a machine, a document) on both sides of the gate: its rows are not independent."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from backstay.data.audit.subject import EXAMPLES, Subject
from backstay.data.fingerprints import fingerprints
from backstay.kernel.records import Finding, Schema, Severity

CHECK = "groups_across_parts"


def check(subject: Subject) -> Iterable[Finding]:
    """Groups that are in train or tune, and in the gate."""
    if "gate" not in subject.parts or subject.schema.group is None:
        return ()
    learned = np.concatenate([subject.parts[p] for p in ("train", "tune") if p in subject.parts] or [np.array([], int)])
    only = subject.table.select([subject.schema.group])
    gate = subject.parts["gate"]
    found = shared_groups(only.take(pa.array(learned)), only.take(pa.array(gate)), subject.schema, subject.data_id)
    return tuple(
        subject.finding(
            f.check, f.severity, f.message, f.fix, gate[list(f.example_rows)], columns=f.columns, count=f.count
        )
        for f in found
    )


def shared_groups(train: pa.Table, gate: pa.Table, schema: Schema, data_id: str) -> tuple[Finding, ...]:
    """A finding for groups in both tables. Rows without a group are on their own."""
    name = schema.group
    if name is None or name not in train.column_names or name not in gate.column_names:
        return ()
    known = gate.column(name).is_valid().to_numpy()
    shared = np.isin(fingerprints(gate, schema, (name,)), fingerprints(train, schema, (name,))) & known
    if not shared.any():
        return ()
    first = gate.column(name)[int(np.flatnonzero(shared)[0])]
    return (
        Finding(
            CHECK,
            Severity.HIGH,
            f"{shared.sum()} gate rows belong to a group of {name!r} that is in the training rows too, "
            f"for example {first}",
            "keep each group on one side: split by hash with data.group declared, or correct the official split",
            data_id,
            (name,),
            tuple(int(r) for r in np.flatnonzero(shared)[:EXAMPLES]),
            int(shared.sum()),
        ),
    )
