"""Rows without labels to learn from beside the project's own, and never those that candidates are measured on.

A self-supervised objective that has seen the gate's rows knows their features, and its figures there are too good. A
log of everything usually holds them, so they are left out and told of; refusing would ask everybody to do by hand what
can be done here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.data.audit.shared_rows import compare
from backstay.data.fingerprints import fingerprints
from backstay.data.schema import conform
from backstay.kernel.records import Finding, Schema, Severity
from backstay.loop.examples import bring_declared, keep, texts
from backstay.loop.workspace import Workspace

CHECK = "unlabelled_overlap"
_EXAMPLES = 5
_MISSING = "missing"


@dataclass(frozen=True)
class Unlabelled:
    """Features of the rows that may be learned from, and what was seen of the others.

    Args:
        table: None where data.unlabelled names no rows.
    """

    table: pa.Table | None = None
    findings: tuple[Finding, ...] = ()


def unlabelled_rows(ws: Workspace, schema: Schema, gate: pa.Table) -> Unlabelled:
    """The rows that data.unlabelled names, without those that also stand among the gate rows.

    The whole is kept under its own id. A row stands in the gate part where all features are equal, or its id or its
    group is, where the file has those columns. Near-copies stay, and are named.
    """
    source = ws.settings.data.unlabelled
    if source is None:
        return Unlabelled()
    found = bring_declared(ws, source)
    plain = Schema(tuple(schema.column(name) for name in schema.features), schema.features)
    table = conform(found, plain)
    version = keep(ws, table, plain, source=source, role="unlabelled")
    asked = gate.select(list(plain.names))
    shared = np.isin(fingerprints(table, plain, plain.features), fingerprints(asked, plain, plain.features))
    for name in (schema.id, schema.group):
        if name is not None and name in found.column_names:
            shared |= _met(texts(found, name), texts(gate, name))
    left = table.filter(pa.array(~shared))
    return Unlabelled(left, (*_left_out(shared, version.id), *_near(left, asked, plain, version.id)))


def _met(ours: npt.NDArray[np.object_], theirs: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    taken = set(theirs.tolist()) - {_MISSING}
    return np.array([v in taken for v in ours], dtype=bool)


def _left_out(shared: npt.NDArray[np.bool_], data_id: str) -> tuple[Finding, ...]:
    if not shared.any():
        return ()
    return (
        Finding(
            CHECK,
            Severity.LOW,
            f"{shared.sum()} of {len(shared)} unlabelled rows also stand in the gate part: training leaves them out",
            "nothing to do; to be rid of this line, take the labelled rows out of data.unlabelled",
            data_id,
            (),
            tuple(int(r) for r in np.flatnonzero(shared)[:_EXAMPLES]),
            int(shared.sum()),
        ),
    )


def _near(left: pa.Table, gate: pa.Table, plain: Schema, data_id: str) -> tuple[Finding, ...]:
    """Near-copies hold no label, so they do not forbid a release; but the figures may be a little too good."""
    return tuple(
        replace(
            f,
            check=f"{CHECK}_near",
            severity=Severity.MEDIUM,
            message=f.message.replace("training rows", "unlabelled rows"),
            fix="take the near-copies out of data.unlabelled",
        )
        for f in compare(left, gate, plain, data_id)
        if f.check == "near_overlap"
    )
