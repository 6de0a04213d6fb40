"""Checks of rows before anything learns from them. One check a file; other packages may add more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from backstay.kernel.records import Finding, Schema, Severity
from backstay.kernel.registry import Shelf

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

CHECKS = Shelf(
    "audit check",
    "backstay.audits",
    {
        # The module is not called overlap: importing it would hide the function `overlap` of this package.
        "overlap": "backstay.data.audit.shared_rows:check",
    }
    | {
        name: f"backstay.data.audit.{name}:check"
        for name in (
            "constant",
            "duplicates",
            "groups_across_parts",
            "identifiers",
            "imbalance",
            "label_errors",
            "label_sets",
            "missing",
            "numbers_as_text",
            "single_class",
            "target_leak",
            "time_order",
            "unread_columns",
            "wild_values",
        )
    },
)
OF_CLASSES = frozenset({"imbalance", "label_errors", "single_class", "target_leak"})
OF_SETS = frozenset({"label_sets"})
UNNAMED = frozenset({"unread_columns"})
# Checks that do not apply, by task; where nothing is said, the target is a class.
LEFT_OUT = {"regression": OF_CLASSES | OF_SETS, "multilabel": OF_CLASSES}
ORDER = {Severity.HIGH: 0, Severity.MEDIUM: 1, Severity.LOW: 2}


def audit(
    table: pa.Table,
    schema: Schema,
    parts: Mapping[str, npt.NDArray[np.int64]],
    *,
    data_id: str,
    task: str = "classification",
    named: bool = False,
) -> tuple[Finding, ...]:
    """What all checks see in conformed rows and their parts, the most severe first.

    Args:
        parts: row numbers by part; checks that compare train with gate pass over rows that have no gate part.
        data_id: id of these rows, written into every finding.
        task: what the target is; checks that speak of another kind of target do not apply.
        named: the features were named by hand, so that what they leave out is meant.
    """
    from backstay.data.audit.subject import Subject

    subject = Subject(table, schema, dict(parts), data_id)
    left_out = LEFT_OUT.get(task, OF_SETS) | (UNNAMED if named else frozenset())
    asked = [name for name in CHECKS if name not in left_out]
    found = [finding for name in asked for finding in CHECKS[name](subject)]
    return tuple(sorted(found, key=lambda f: ORDER[f.severity]))


def overlap(train_table: pa.Table, gate_table: pa.Table, schema: Schema, data_id: str) -> tuple[Finding, ...]:
    """Rows, near-copies, ids and groups that training rows share with gate rows. Both conform to the schema."""
    from backstay.data.audit.groups_across_parts import shared_groups
    from backstay.data.audit.shared_rows import compare

    return (
        *compare(train_table, gate_table, schema, data_id),
        *shared_groups(train_table, gate_table, schema, data_id),
    )
