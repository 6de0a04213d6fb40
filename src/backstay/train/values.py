"""The scale of a number that is learned: learned in standard deviations, answered in its unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backstay.bundle.manifest import OutputSpec
from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray
from backstay.train.examples import Profile

LEAST_ROWS = 10


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and standard deviation of the training rows' target."""

    centre: float
    spread: float

    @classmethod
    def of(cls, target: FloatArray, tune_rows: int) -> Scale:
        """Raises BackstayError for too few rows, or a target that is one number in all of them."""
        if min(len(target), tune_rows) < LEAST_ROWS:
            raise BackstayError(
                f"{len(target)} rows to learn from and {tune_rows} to choose by, each needs {LEAST_ROWS} or more",
                fix="give more rows, or change the shares in data.split",
            )
        spread = float(target.std())
        if not spread > 0.0 or not np.isfinite(spread):
            raise BackstayError(
                f"the target is {float(target[0]):g} in all rows of the train part, or too large to be scaled",
                fix="name another target",
            )
        return cls(float(target.mean()), spread)

    def down(self, values: FloatArray) -> FloatArray:
        """From the unit to standard deviations."""
        return (values - self.centre) / self.spread

    def up(self, values: FloatArray) -> FloatArray:
        """From standard deviations to the unit."""
        return values * self.spread + self.centre


def value_output(profile: Profile) -> OutputSpec:
    """The answer's place in the graph, under another name where a column is called like it."""
    name = "value" if "value" not in (*profile.numbers, *profile.categories) else "predicted_value"
    return OutputSpec(name, "FP64", (-1,), "number")
