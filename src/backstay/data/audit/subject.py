"""What a check looks at: conformed rows, their schema and their parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.data.fingerprints import Fingerprints, fingerprints
from backstay.data.targets import class_texts
from backstay.kernel.records import ColumnKind, Finding, Schema, Severity

EXAMPLES = 20
WIDE = frozenset({ColumnKind.IMAGE, ColumnKind.VECTOR})


@dataclass(frozen=True)
class Subject:
    """Rows under audit. Nothing here is changed by a check."""

    table: pa.Table
    schema: Schema
    parts: dict[str, npt.NDArray[np.int64]]
    data_id: str

    @cached_property
    def labels(self) -> npt.NDArray[np.object_]:
        """The target as text; empty when there is none."""
        if self.schema.target is None:
            return np.array([], dtype=object)
        return class_texts(self.table.column(self.schema.target))

    @cached_property
    def content(self) -> Fingerprints:
        """Fingerprints of the features."""
        return fingerprints(self.table, self.schema, self.schema.features)

    @property
    def plain_features(self) -> tuple[str, ...]:
        """Features with one plain value a row: neither images nor vectors."""
        return tuple(f for f in self.schema.features if self.schema.column(f).kind not in WIDE)

    def finding(
        self, check: str, severity: Severity, message: str, fix: str, rows: npt.NDArray[Any] | None = None, **more: Any
    ) -> Finding:
        """A finding on these rows; `rows` become its examples and, unless said otherwise, its count."""
        examples = () if rows is None else tuple(int(r) for r in rows[:EXAMPLES])
        count = more.pop("count", 0 if rows is None else len(rows))
        return Finding(check, severity, message, fix, self.data_id, example_rows=examples, count=count, **more)
