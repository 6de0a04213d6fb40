"""Streams of answers whose meaning changes while the inputs stay: made up, the same in every environment.

A model of two classes whose scores are the true probabilities until the change. From then on one label in ten is the
other one, whatever the input: accuracy falls by some 7 points, and nothing but labels can tell.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

REFERENCE, ROWS, STEEPNESS, FLIPPED = 5000, 1000, 2.5, 0.10
BEFORE, AFTER, STREAMS = 20, 10, 10
LABELS = (0, 50, 100, 200)


class Answers(NamedTuple):
    """Probability of class 1 by the model [n], and the true class [n]; the rows are in random order."""

    scores: Array
    truth: Array

    @property
    def right(self) -> Array:
        return ((self.scores >= 0.5) == (self.truth > 0.5)).astype(np.float64)

    @property
    def confidence(self) -> Array:
        return np.maximum(self.scores, 1.0 - self.scores)


class ConceptWorld:
    def __init__(self, seed: int) -> None:
        self.seed = seed

    def reference(self) -> Answers:
        return _draw(np.random.Generator(np.random.PCG64([61, self.seed])), REFERENCE, 0.0)

    def stream(self, number: int) -> list[Answers]:
        """Twenty windows as before, then ten with the changed meaning."""
        rng = np.random.Generator(np.random.PCG64([62, self.seed, number]))
        return [_draw(rng, ROWS, 0.0 if i < BEFORE else FLIPPED) for i in range(BEFORE + AFTER)]


def _draw(rng: np.random.Generator, rows: int, flipped: float) -> Answers:
    scores = 1.0 / (1.0 + np.exp(-STEEPNESS * rng.standard_normal(rows)))
    truth = rng.random(rows) < scores
    turned = rng.random(rows) < flipped
    return Answers(scores, (truth ^ turned).astype(np.float64))


def strongest(by_knob: list[list[bool]]) -> list[float]:
    """For each window the number of knob settings, from the loosest on, at which it alarmed: a score by window.

    Alarms of a stricter setting are nearly always alarms of a looser one, but a detector with a memory starts afresh
    after an alarm, so that its strictest one counts.
    """
    table = np.array(by_knob, dtype=bool)
    places = np.arange(1, len(table) + 1)[:, None]
    return np.where(table, places, 0).max(axis=0).astype(float).tolist()
