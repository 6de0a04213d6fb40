"""How far off a number is likely to be, by its answer and inputs: what the reference says of its own rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backstay.maths.arrays import AnyArray, FloatArray
from backstay.maths.labelfree_losses import ForeseenLoss
from backstay.monitor.fitted import Detectors
from backstay.monitor.inputs import InputSpace
from backstay.monitor.label_free import draw_rows
from backstay.monitor.traffic import WindowData

# A fit of more columns than this learns nothing more from a few thousand rows, and takes minutes.
MOST_COLUMNS = 32
FEWEST = 100
# Labels correct what is foretold, so that more rows would buy nothing that anybody sees.
MOST_ROWS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """The directions in which reference inputs spread most, where inputs are wide; all of them otherwise."""

    centre: FloatArray
    axes: FloatArray | None

    @staticmethod
    def of(known: FloatArray) -> Directions:
        centre = np.asarray(known.mean(axis=0))
        if known.shape[1] <= MOST_COLUMNS:
            return Directions(centre, None)
        around = known - centre
        axes = np.linalg.eigh(around.T @ around)[1][:, : -MOST_COLUMNS - 1 : -1]
        return Directions(centre, np.asarray(axes))

    def narrowed(self, rows: FloatArray) -> FloatArray:
        """[n, at most 32]."""
        return rows if self.axes is None else np.asarray((rows - self.centre) @ self.axes)


@dataclass(frozen=True, slots=True, eq=False)
class ErrorModel:
    """Predicted absolute errors: fitted on the reference once, so that labels can judge it."""

    space: InputSpace
    directions: Directions
    loss: ForeseenLoss

    @staticmethod
    def fit(detectors: Detectors) -> ErrorModel | None:
        """None of a model of classes, without inputs, or with fewer than 100 rows of which the error is known."""
        reference, space = detectors.reference, detectors.space
        if reference.numbers is None or reference.errors is None or space is None:
            return None
        usable = np.flatnonzero(np.isfinite(reference.errors) & np.isfinite(reference.numbers))
        known = draw_rows(usable, MOST_ROWS, "mae reference")
        inputs = space.rows(reference, known) if len(known) >= FEWEST else None
        if inputs is None:
            return None
        directions = Directions.of(inputs)
        described = np.column_stack([reference.numbers[known], directions.narrowed(inputs)])
        return ErrorModel(space, directions, ForeseenLoss.fit(described, reference.errors[known]))

    def of(self, rows: WindowData, chosen: AnyArray) -> FloatArray | None:
        """Predicted errors of the `chosen` rows [n], NaN where the answer is no number; None without their inputs."""
        inputs = self.space.rows(rows, chosen)
        if rows.numbers is None or inputs is None:
            return None
        numbers = np.asarray(rows.numbers[chosen], dtype=np.float64)
        narrow = self.directions.narrowed(inputs)
        whole = np.isfinite(numbers) & np.all(np.isfinite(narrow), axis=1)
        found = np.full(len(chosen), np.nan)
        if whole.any():
            found[whole] = self.loss.of(np.column_stack([numbers, narrow])[whole])
        return found
