"""Official splits: a column that says which rows are for training and which for testing."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

NAMES = ("part", "split")
TEST = frozenset({"test", "gate"})
TUNE = frozenset({"tune", "val", "valid", "validation", "dev"})
TRAIN = frozenset({"train", "training"})


def part_column(table: pa.Table) -> str | None:
    """The column `part` (or `split`) when its values are train, test and at most a name for validation.

    >>> part_column(pa.table({"part": ["train", "test"], "x": [1, 2]}))
    'part'
    """
    for name in NAMES:
        if name not in table.column_names:
            continue
        kind = table.schema.field(name).type
        text = pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if not text:
            continue
        values = {str(v) for v in pc.unique(table.column(name).cast(pa.string())).to_pylist()}
        if values & TRAIN and values & TEST and values <= TRAIN | TEST | TUNE:
            return name
    return None
