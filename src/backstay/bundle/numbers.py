"""Numbers as columns and as text: the target and the answers of a regression, wherever they are kept."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray


def target_values(column: pa.ChunkedArray, name: str) -> FloatArray:
    """The numbers [n] of a target. Raises BackstayError for gaps, NaN, infinity and what is no number.

    >>> target_values(pa.chunked_array([[1, 2, 4]]), "price").tolist()
    [1.0, 2.0, 4.0]
    """
    numeric = pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)
    if not numeric:
        raise BackstayError(
            f"the target {name!r} holds {column.type}, not numbers",
            fix='correct the rows or name another target; for classes set task = "classification"',
        )
    wide = column.cast(pa.float64(), safe=False)
    values = np.asarray(pc.fill_null(wide, float("nan")).to_numpy(), dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        what = "infinite" if np.isinf(values[bad[0]]) else "missing"
        raise BackstayError(
            f"the target {name!r} is missing or not finite in {len(bad)} rows; it is {what} first in row {bad[0] + 1}",
            fix="fill in those values, or leave those rows out",
        )
    return values


def parsed(texts: Iterable[object]) -> FloatArray:
    """Logged answers or labels as numbers [n], NaN for what is none.

    >>> parsed(["3.5", "-2", "x", None]).tolist()
    [3.5, -2.0, nan, nan]
    """
    return np.array([_number(text) for text in texts], dtype=np.float64)


def _number(text: object) -> float:
    try:
        value = float(str(text))
    except ValueError:
        return float("nan")
    return value if np.isfinite(value) else float("nan")
