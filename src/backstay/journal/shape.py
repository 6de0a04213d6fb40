"""What logged rows have together: one width of scores and embeddings, one type a column, whichever rows are at hand.

A row is read alike whether all of its release's log is in memory or the day that it was logged on: what the others have
is known from the heads of their files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from backstay.journal.column_types import at_odds, recast


@dataclass(frozen=True, slots=True)
class Shape:
    """Of rows of several parts.

    Args:
        scores, embeddings: how wide they are; None where no row has any.
        types: of the input columns that have another type in some part. inputs: all columns, None where there are none.
        groups, latencies: whether any row has one.
    """

    scores: int | None = None
    embeddings: int | None = None
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    inputs: pa.Schema | None = None
    groups: bool = False
    latencies: bool = False

    @staticmethod
    def of(
        scores: int | None,
        embeddings: int | None,
        inputs: Sequence[tuple[pa.Schema | None, int]],
        *,
        groups: bool,
        latencies: bool,
    ) -> Shape:
        """Args: `inputs`: the schema of each part, None where it has no inputs, and its rows, in order."""
        known = [(schema, rows) for schema, rows in inputs if schema is not None and len(schema)]
        if not known:
            return Shape(scores, embeddings, groups=groups, latencies=latencies)
        types = at_odds(known)
        empty = [recast(schema.empty_table(), types) for schema, _ in known]
        joint = pa.concat_tables(empty, promote_options="permissive").schema
        return Shape(scores, embeddings, types, joint, groups, latencies)

    def fitted(self, table: pa.Table | None, rows: int) -> pa.Table | None:
        """A part's inputs with all columns, null where it has them not; None of a shape without inputs."""
        if self.inputs is None:
            return None
        if table is None:
            return pa.table([pa.nulls(rows, kind.type) for kind in self.inputs], schema=self.inputs)
        table = recast(table, self.types)
        if table.schema == self.inputs:
            return table
        names = set(table.column_names)
        columns = [table.column(kind.name) if kind.name in names else pa.nulls(rows, kind.type) for kind in self.inputs]
        filled = [
            column if column.type == kind.type else pa.nulls(rows, kind.type)
            for column, kind in zip(columns, self.inputs, strict=True)
        ]
        return pa.table(filled, schema=self.inputs)


def usual_width(counts: Mapping[str, Counter[int]]) -> int | None:
    """How wide scores or embeddings are, by how many rows of which release have which width.

    Of one release the usual width counts; where releases differ, none does.
    """
    usual = {max(sorted(found), key=found.__getitem__) for found in counts.values() if found}
    return usual.pop() if len(usual) == 1 else None
