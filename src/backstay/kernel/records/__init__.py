"""The values that cross boundaries. Frozen; every measurement carries its interval, its n and its data."""

from __future__ import annotations

from backstay.kernel.records.json_value import Json
from backstay.kernel.records.labelled import (
    Label,
    LabelRequest,
    LabelUse,
)
from backstay.kernel.records.located import Cell, Located
from backstay.kernel.records.measured import (
    Comparison,
    Interval,
    Measurement,
    Report,
    RuleOutcome,
    Verdict,
)
from backstay.kernel.records.released import (
    LedgerRow,
    ModelRecord,
    Release,
    ReleaseKind,
    Task,
)
from backstay.kernel.records.rows import (
    Column,
    ColumnKind,
    DataVersion,
    Finding,
    Schema,
    Severity,
)
from backstay.kernel.records.watched import (
    Condition,
    Decision,
    Estimate,
    Signal,
    WindowResult,
)

__all__ = [
    "Cell",
    "Column",
    "ColumnKind",
    "Comparison",
    "Condition",
    "DataVersion",
    "Decision",
    "Estimate",
    "Finding",
    "Interval",
    "Json",
    "Label",
    "LabelRequest",
    "LabelUse",
    "LedgerRow",
    "Located",
    "Measurement",
    "ModelRecord",
    "Release",
    "ReleaseKind",
    "Report",
    "RuleOutcome",
    "Schema",
    "Severity",
    "Signal",
    "Task",
    "Verdict",
    "WindowResult",
]
