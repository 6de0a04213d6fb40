"""The made-up traffic of the scoreboard: the same numbers in every environment, from seeds alone (NumPy only).

A table has 20 numbers and one category of three values, the answer of a model that is right in about 93 of 100 rows. A
hidden class moves the first six columns; the others are standard normal. Everything is fixed before any tool is run.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
Codes = np.ndarray[Any, np.dtype[np.int64]]

NUMBERS, ANSWERS = 20, ("a", "b", "c")
PRIORS, MOVED_PRIORS = (0.5, 0.3, 0.2), (0.46, 0.32, 0.22)
CLASS_COLUMNS, CLASS_SPREAD = 6, 0.5
CLUSTER_SHARE, CLUSTER_RADIUS, CLUSTER_SPREAD = 0.10, 2.0, 0.5
WIDTH, CLUSTERS, CENTRE_SPREAD = 384, 10, 0.5
EMBEDDING_SHIFT, EMBEDDING_DIMENSIONS = 0.1, 0.05
TABLE_CHANGES = ("null", "shift 0.1", "shift 0.25", "shift 0.5", "new cluster", "prior shift")
EMBEDDING_CHANGES = ("null", "shift 0.1", "new cluster")
# Seeds from here on are for calibration alone.
CALIBRATION = 1000


class Table(NamedTuple):
    """Numbers [n, 20] and the code of the category [n]."""

    numbers: Array
    codes: Codes

    @property
    def names(self) -> list[str]:
        return [f"x{i:02d}" for i in range(self.numbers.shape[1])]

    @property
    def words(self) -> np.ndarray[Any, Any]:
        return np.array(ANSWERS, dtype=object)[self.codes]

    def mark(self) -> int:
        """A checksum, by which it is seen that two tools were given the same rows."""
        return zlib.crc32(np.round(self.numbers, 9).tobytes() + self.codes.tobytes())


class TableWorld:
    """One seed: fixed class means, a place for the new cluster, a reference."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = np.random.Generator(np.random.PCG64([41, seed]))
        self.means = np.zeros((3, NUMBERS))
        self.means[:, :CLASS_COLUMNS] = CLASS_SPREAD * rng.standard_normal((3, CLASS_COLUMNS))
        self.means -= np.array(PRIORS) @ self.means
        direction = rng.standard_normal(NUMBERS)
        self.centre = CLUSTER_RADIUS * direction / np.linalg.norm(direction)

    def reference(self, rows: int) -> Table:
        return self._draw(np.random.Generator(np.random.PCG64([42, self.seed, rows])), rows, "null")

    def windows(self, change: str, first: int, count: int, rows: int = 1000) -> Iterator[Table]:
        """Windows by number: the same whoever asks, and in whatever parts."""
        place = TABLE_CHANGES.index(change)
        for i in range(first, first + count):
            yield self._draw(np.random.Generator(np.random.PCG64([43, self.seed, place, i])), rows, change)

    def _draw(self, rng: np.random.Generator, rows: int, change: str) -> Table:
        priors = MOVED_PRIORS if change == "prior shift" else PRIORS
        hidden = np.searchsorted(np.cumsum(priors), rng.random(rows)).clip(0, 2)
        numbers = self.means[hidden] + rng.standard_normal((rows, NUMBERS))
        wrong = rng.random(rows) < 0.1
        codes = np.where(wrong, rng.integers(0, 3, rows), hidden).astype(np.int64)
        if change.startswith("shift"):
            numbers[:, -2:] += float(change.split()[1])
        if change == "new cluster":
            new = rng.random(rows) < CLUSTER_SHARE
            numbers[new] = self.centre + CLUSTER_SPREAD * rng.standard_normal((int(new.sum()), NUMBERS))
        return Table(numbers, codes)


class EmbeddingWorld:
    """One seed of ten clusters in 384 dimensions of unit variance; a change is a shift of some, or one more cluster."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = np.random.Generator(np.random.PCG64([51, seed]))
        self.centres = CENTRE_SPREAD * rng.standard_normal((CLUSTERS + 1, WIDTH))
        self.moved = rng.permutation(WIDTH)[: round(EMBEDDING_DIMENSIONS * WIDTH)]

    def reference(self, rows: int) -> Array:
        return self._draw(np.random.Generator(np.random.PCG64([52, self.seed, rows])), rows, "null")

    def windows(self, change: str, count: int, rows: int = 2000) -> Iterator[Array]:
        place = EMBEDDING_CHANGES.index(change)
        for i in range(count):
            yield self._draw(np.random.Generator(np.random.PCG64([53, self.seed, place, i])), rows, change)

    def _draw(self, rng: np.random.Generator, rows: int, change: str) -> Array:
        which = rng.integers(0, CLUSTERS, rows)
        if change == "new cluster":
            which[rng.random(rows) < CLUSTER_SHARE] = CLUSTERS
        spread = float(np.sqrt(1.0 - CENTRE_SPREAD**2))
        found = self.centres[which] + spread * rng.standard_normal((rows, WIDTH))
        if change.startswith("shift"):
            found[:, self.moved] += float(change.split()[1])
        return found
