"""A row that is shown to people: its picture or its columns, and what the model said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One row to look at.

    Args:
        image: uint8 [height, width] or [height, width, channels], None for a row of a table.
        columns: the row's columns by name, in the order to show them.
        prediction: what the model answered.
        confidence: its score for that answer, in [0, 1], None when it gave none.
    """

    image: npt.NDArray[np.uint8] | None
    columns: Mapping[str, Any] = field(default_factory=dict)
    prediction: str = ""
    confidence: float | None = None
