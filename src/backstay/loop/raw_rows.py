"""Rows as plain numbers: what the controls of every task look for neighbours in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.evaluate.controls import raw_matrix
from backstay.kernel.records import Schema
from backstay.loop.examples import groups_of
from backstay.maths.arrays import IntArray


class RawRows(NamedTuple):
    """Matrices [n, d] of the rows that neighbours are sought among, and of those that they are sought for.

    `apart`: where both are the same rows, codes of those that may not be each other's neighbours.
    """

    gallery: npt.NDArray[np.float32]
    queries: npt.NDArray[np.float32]
    apart: IntArray | None


def raw_rows(table: pa.Table, schema: Schema, training: pa.Table | None) -> RawRows:
    """Neighbours of the table's rows are sought among training rows; without those among its own other groups."""
    if training is None:
        both = raw_matrix(table, schema)
        groups = groups_of(table, schema)
        return RawRows(both, both, np.arange(len(both)) if groups is None else groups)
    features = list(schema.features)
    together = pa.concat_tables([training.select(features), table.select(features)])
    both = raw_matrix(together, schema, learned=training.num_rows)
    return RawRows(both[: training.num_rows], both[training.num_rows :], None)
