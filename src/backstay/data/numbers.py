"""Whether a target can be learned as a number."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from backstay.bundle.numbers import target_values
from backstay.kernel.errors import BackstayError

FEWEST = 3


def check_numbers(column: pa.ChunkedArray, name: str) -> None:
    """Raise for a target that is no regression: not all finite numbers, or too few different ones."""
    values = target_values(column, name)
    distinct = len(np.unique(values))
    if distinct < FEWEST:
        raise BackstayError(
            f"the target {name!r} has {distinct} different number{'' if distinct == 1 else 's'}",
            fix='name another target, or set task = "classification"',
        )
