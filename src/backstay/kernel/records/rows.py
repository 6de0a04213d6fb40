"""What rows are: their columns and versions, and what an audit found in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    """How much an audit finding matters. An open HIGH finding blocks the gate."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class ColumnKind(StrEnum):
    """How a column is read and hashed."""

    NUMBER = "number"
    INTEGER = "integer"
    CATEGORY = "category"
    TEXT = "text"
    BOOLEAN = "boolean"
    TIME = "time"
    IMAGE = "image"
    VECTOR = "vector"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a schema. `shape`: (height, width, channels) of an image, (length,) of a vector, else empty."""

    name: str
    kind: ColumnKind
    nullable: bool = True
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """Columns in their order, and which of them have a role. `features` are the model's inputs, in order."""

    columns: tuple[Column, ...]
    features: tuple[str, ...]
    target: str | None = None
    id: str | None = None
    time: str | None = None
    group: str | None = None

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)


@dataclass(frozen=True, slots=True)
class DataVersion:
    """An immutable set of rows. `id` hashes all content under the schema; `blob` is where the bytes are."""

    id: str
    rows: int
    schema: Schema
    blob: str
    source: str
    created_at: datetime
    parents: tuple[str, ...] = ()
    role: str = "data"
    classes: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """What an audit check saw. `example_rows` are row numbers; `fix` says what to do."""

    check: str
    severity: Severity
    message: str
    fix: str
    data_id: str
    columns: tuple[str, ...] = ()
    example_rows: tuple[int, ...] = ()
    count: int = 0
