"""How long a run may go on: by the recipe or, where it leaves that open, by steps, since of few rows an epoch is a step
or two."""

from __future__ import annotations

import math
from dataclasses import dataclass

from backstay.settings import TrainSettings

USUAL_EPOCHS, LEAST_STEPS = 20, 300
USUAL_PATIENCE, PATIENT_STEPS = 4, 60


@dataclass(frozen=True, slots=True)
class Length:
    """The most epochs of a run, and epochs without progress after which it stops."""

    epochs: int
    patience: int


def length_of(recipe: TrainSettings, steps: int) -> Length:
    """Args: steps: of an epoch.

    >>> length_of(TrainSettings(), steps=235), length_of(TrainSettings(epochs=30), steps=2)
    (Length(epochs=20, patience=4), Length(epochs=30, patience=30))
    """
    return Length(
        recipe.epochs or max(USUAL_EPOCHS, math.ceil(LEAST_STEPS / steps)),
        recipe.patience or max(USUAL_PATIENCE, math.ceil(PATIENT_STEPS / steps)),
    )
