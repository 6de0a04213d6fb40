"""What a model without an encoder must do: learn, answer probabilities, and write itself into a graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from backstay.maths.arrays import AnyArray, FloatArray, IntArray
from backstay.train.convert.answer import SMALLEST
from backstay.train.convert.graph import Graph


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table.

    Args:
        numbers: [n, p], standardised, NaN where missing.
        codes: [n, q], categories: 0 unseen, 1 missing, from 2 on the known values from the commonest.
        labels: [n], classes from 0 on, each of which is among the training rows.
        weights: [n], 0 or more.
    """

    numbers: FloatArray
    codes: IntArray
    labels: IntArray
    weights: FloatArray


Learned: TypeAlias = tuple[Rows, AnyArray]
"""Rows, and what is to be answered for each [n]: classes or numbers."""


@dataclass(frozen=True, slots=True)
class Tensors:
    """The names of `numbers` (double) and `codes` (int64) in a graph; None where there are no such columns."""

    numbers: str | None
    codes: str | None


@dataclass(frozen=True, slots=True)
class Problem:
    """What a model may need to know when it is built: `levels` is the number of known values by category."""

    numbers: int
    levels: tuple[int, ...]
    classes: int
    seed: int


class Estimator(ABC):
    """A classifier of table rows. The graph that it writes must answer what `probabilities` answers."""

    @abstractmethod
    def fit(self, train: Rows, tune: Rows) -> dict[str, float]:
        """Learn from `train`, choose by `tune`; answers figures worth keeping."""

    @abstractmethod
    def probabilities(self, rows: Rows) -> FloatArray:
        """[n, classes], before calibration."""

    @abstractmethod
    def write(self, graph: Graph, tensors: Tensors) -> str:
        """The same in a graph: the name of a double tensor [rows, classes]."""


def log_loss(probabilities: FloatArray, rows: Rows) -> float:
    """Weighted mean of -log p(true class), no probability below one millionth."""
    given = np.clip(probabilities[np.arange(len(rows.labels)), rows.labels], SMALLEST, 1.0)
    total = float(rows.weights.sum())
    return float(-(rows.weights @ np.log(given)) / total) if total > 0 else float("nan")
