"""The rows of each value of the slice columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, IntArray

MOST_VALUES = 500


def slice_rows(slices: Mapping[str, AnyArray], rows: int) -> Iterator[tuple[str, IntArray]]:
    """("column=value", places of its rows in order) for each value, in the order of columns, then of values.

    >>> [(name, list(map(int, at))) for name, at in slice_rows({"site": np.array(["b", "a", "b"])}, 3)]
    [('site=a', [1]), ('site=b', [0, 2])]

    Raises:
        BackstayError: a column of another length, or with more than 500 values: such slices say nothing one by one.
    """
    for column, values in slices.items():
        if len(values) != rows:
            raise BackstayError(
                f"the slice column {column!r} has {len(values)} values for {rows} rows", fix="give one for every row"
            )
        names, codes = np.unique(np.array([str(v) for v in values], dtype=str), return_inverse=True)
        if len(names) > MOST_VALUES:
            raise BackstayError(
                f"the slice column {column!r} has {len(names)} different values",
                fix=f"slice by a column with at most {MOST_VALUES}, or cut it into ranges",
            )
        for place, name in enumerate(names):
            yield f"{column}={name}", np.flatnonzero(codes.reshape(-1) == place)
