"""Input rows as numbers: table columns as the detectors take them, and one matrix from all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backstay.journal.column_types import as_numbers, as_text, no_numbers
from backstay.kernel.records import ColumnKind, Schema
from backstay.maths.arrays import AnyArray, FloatArray, RealArray
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

NUMBERS = (ColumnKind.NUMBER, ColumnKind.INTEGER)
READ = (*NUMBERS, ColumnKind.TEXT, ColumnKind.BOOLEAN, ColumnKind.CATEGORY)
TOP = 10
CLIP = 6.0


def columns_of(table: pa.Table, schema: Schema) -> dict[str, AnyArray]:
    """The feature columns that a detector can test, by name: floats with NaN, or objects with None.

    A text column becomes its length in characters. Times always move and images are no column: both are left out. A
    column of another type than the schema says is read as far as it can be: what is no number is missing.
    """
    columns: dict[str, AnyArray] = {}
    for name in schema.features:
        if name not in table.column_names:
            continue
        kind, values = schema.column(name).kind, table[name].combine_chunks()
        if kind in NUMBERS:
            columns[name] = _floats(as_numbers(values))
        elif kind is ColumnKind.TEXT:
            columns[f"length of {name}"] = _floats(pc.utf8_length(as_text(values)))
        elif kind is ColumnKind.BOOLEAN:
            columns[name] = _objects(_truth(values))
        elif kind is ColumnKind.CATEGORY:
            columns[name] = _objects(as_text(values))
    return columns


def absent_from(names: Iterable[str], schema: Schema) -> list[str]:
    """The feature columns that a detector can test and that are not among these names."""
    there = set(names)
    return [name for name in schema.features if name not in there and schema.column(name).kind in READ]


def with_absent(table: pa.Table, schema: Schema) -> pa.Table:
    """The table with the feature columns that it lacks, as missing in every row; as it is where it has none of them.

    A column that is renamed or gone is news. It must neither be passed over nor blind the tests of the others; and what
    is said of these rows must not depend on whether other files of the log hold the column.
    """
    absent = absent_from(table.column_names, schema)
    if not any(name in table.column_names for name in schema.features):
        return table
    for name in absent:
        table = table.append_column(name, pa.nulls(table.num_rows))
    return table


def strange_of(table: pa.Table, schema: Schema) -> dict[str, AnyArray]:
    """What feature columns of numbers hold that is no number, as text: objects with None where all is well.

    Only columns with such values are named. In `columns_of` these values are missing.
    """
    found: dict[str, AnyArray] = {}
    for name in schema.features:
        if name in table.column_names and schema.column(name).kind in NUMBERS:
            odd = no_numbers(table[name])
            if odd is not None:
                found[name] = _objects(odd)
    return found


def _floats(values: Any) -> FloatArray:
    return np.asarray(values.cast(pa.float64(), safe=False).fill_null(float("nan")).to_numpy(zero_copy_only=False))


def _objects(values: Any) -> AnyArray:
    return np.asarray(values.to_pylist(), dtype=object)


def _truth(values: Any) -> Any:
    """Truth values as "true" and "false", also where they were logged as 0 and 1 or as such words."""
    text = as_text(values)
    if pa.types.is_boolean(values.type):
        return text
    low = pc.utf8_lower(text)
    yes, no = (pc.is_in(low, pa.array(words, pa.large_string())) for words in (["true", "1"], ["false", "0"]))
    return pc.if_else(yes, pa.scalar("true", text.type), pc.if_else(no, pa.scalar("false", text.type), text))


@dataclass(frozen=True, slots=True)
class _Number:
    name: str
    centre: float
    scale: float

    def rows(self, column: AnyArray) -> FloatArray:
        """Standardised by the reference and clipped, and whether the value is missing: [n, 2]."""
        values = np.asarray(column, dtype=np.float64)
        known = np.isfinite(values)
        scaled = np.clip((np.where(known, values, self.centre) - self.centre) / self.scale, -CLIP, CLIP)
        return np.column_stack([scaled, ~known])


@dataclass(frozen=True, slots=True)
class _Category:
    name: str
    values: tuple[str, ...]

    def rows(self, column: AnyArray) -> FloatArray:
        """One indicator for each common value of the reference: [n, k]."""
        text = np.asarray(["" if value is None else str(value) for value in column])
        return np.column_stack([text == value for value in self.values]).astype(np.float64)


@dataclass(frozen=True, slots=True)
class InputSpace:
    """How rows become one matrix: as they were given, or made from columns on the scales of the reference.

    Scales are learnt from the reference alone: standardising a window by itself would hide the very shift
    that is looked for.
    """

    dimension: int
    parts: tuple[_Number | _Category, ...] = ()

    @staticmethod
    def fit(reference: Reference) -> InputSpace | None:
        """The space of this reference; None when it has neither a representation nor columns."""
        if reference.representation is not None:
            return InputSpace(reference.representation.shape[1])
        parts = tuple(_part(name, values) for name, values in reference.columns.items())
        if not parts:
            return None
        return InputSpace(sum(2 if isinstance(part, _Number) else len(part.values) for part in parts), parts)

    def reads(self, source: Reference | WindowData) -> bool:
        """Whether these rows hold what is needed."""
        if not self.parts:
            return source.representation is not None
        return all(part.name in source.columns for part in self.parts)

    def rows(self, source: Reference | WindowData, chosen: AnyArray | slice | None = None) -> FloatArray | None:
        """[n, dimension] of the reference's or a window's rows, or of those chosen; None when it lacks what is needed.

        A matrix of a million rows is large: choose before you ask.
        """
        found = self.given(source, chosen)
        return None if found is None else np.asarray(found, dtype=np.float64)

    def given(self, source: Reference | WindowData, chosen: AnyArray | slice | None = None) -> RealArray | None:
        """As `rows`, in the precision in which the rows are kept; maybe no copy of them, so do not write to it."""
        if not self.reads(source):
            return None
        where = slice(None) if chosen is None else chosen
        if source.representation is not None and not self.parts:
            kept = source.representation[where]
            return kept if kept.dtype in (np.float32, np.float64) else kept.astype(np.float64)
        return np.column_stack([part.rows(source.columns[part.name][where]) for part in self.parts])

    def to_json(self) -> dict[str, Any]:
        return {
            "dimension": self.dimension,
            "parts": [
                {"name": part.name, "centre": part.centre, "scale": part.scale}
                if isinstance(part, _Number)
                else {"name": part.name, "values": list(part.values)}
                for part in self.parts
            ],
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> InputSpace:
        parts = tuple(
            _Category(part["name"], tuple(part["values"]))
            if "values" in part
            else _Number(part["name"], float(part["centre"]), float(part["scale"]))
            for part in state["parts"]
        )
        return InputSpace(int(state["dimension"]), parts)


def _part(name: str, values: AnyArray) -> _Number | _Category:
    if values.dtype.kind == "f":
        known = values[np.isfinite(values)]
        scale = float(known.std()) if len(known) else 0.0
        return _Number(name, float(known.mean()) if len(known) else 0.0, scale if scale > 1e-12 else 1.0)
    present, counts = np.unique([str(value) for value in values if value is not None], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:TOP]
    return _Category(name, tuple(str(present[place]) for place in order) or ("",))
