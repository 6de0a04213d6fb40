"""For each gate row, the newest row whose truth was known before it: the control of what changes slowly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.evaluate.persistence import newest_before
from backstay.kernel.records import Schema
from backstay.loop.examples import codes, texts
from backstay.maths.arrays import IntArray

_NO_GROUP = "missing"


def newest_known(
    earlier: pa.Table | None, gate: pa.Table, schema: Schema, usable: npt.NDArray[np.bool_]
) -> IntArray | None:
    """Places [m] among the earlier rows and, behind them, the gate rows; -1 where no row is older.

    None without a time column, or where a gate row has no time. An earlier row without one is passed over.

    Args:
        earlier: rows with known truths besides the gate's.
        usable: of earlier and gate rows [n + m], those whose truth may be an answer.
    """
    if schema.time is None or schema.time not in gate.column_names or gate.column(schema.time).null_count:
        return None
    if earlier is not None and schema.time not in earlier.column_names:
        return None
    tables = [gate] if earlier is None else [earlier, gate]
    moments = pa.chunked_array(
        [chunk for t in tables for chunk in t.column(schema.time).cast(pa.int64()).chunks], pa.int64()
    )
    known = np.flatnonzero(usable & ~moments.is_null().to_numpy())
    times = moments.fill_null(0).to_numpy()
    groups = None
    if schema.group is not None and all(schema.group in t.column_names for t in tables):
        named = np.concatenate([texts(t, schema.group) for t in tables])
        found = codes(named)
        groups = None if found is None else np.where(named == _NO_GROUP, -1, found)
    first = len(times) - gate.num_rows
    places = newest_before(
        times[known],
        times[first:],
        None if groups is None else groups[known],
        None if groups is None else groups[first:],
    )
    return places if not len(known) else np.where(places >= 0, known[places], -1)
