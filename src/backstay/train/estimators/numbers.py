"""The shelf of models of numbers: `build(problem, options)` answers a `Regressor`."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from backstay.kernel.registry import Shelf
from backstay.maths.arrays import FloatArray
from backstay.train.convert.graph import Graph
from backstay.train.estimators.contract import Rows, Tensors

REGRESSORS = Shelf(
    "model of numbers",
    "backstay.regressors",
    {
        "decision_tree": "backstay.train.estimators.value_tree:build",
        "gradient_boosting": "backstay.train.estimators.value_boosting:build",
        "lightgbm": "backstay.train.estimators.value_lightgbm:build",
        "ridge": "backstay.train.estimators.ridge:build",
        "xgboost": "backstay.train.estimators.value_xgboost:build",
    },
)


class Regressor(ABC):
    """A model of a standardised target. The graph that it writes must answer what `values` answers."""

    @abstractmethod
    def fit(self, train: Rows, y: FloatArray, tune: Rows, y_tune: FloatArray) -> dict[str, float]:
        """Learn from `train`, choose by `tune`; answers figures worth keeping. The rows' labels are not read."""

    @abstractmethod
    def values(self, rows: Rows) -> FloatArray:
        """[n], in standard deviations of the training target from its mean."""

    @abstractmethod
    def write(self, graph: Graph, tensors: Tensors) -> str:
        """The same in a graph: the name of a double tensor [rows, 1]."""


def squared_error(found: FloatArray, y: FloatArray, weights: FloatArray) -> float:
    """Weighted mean squared error."""
    total = float(weights.sum())
    return float(weights @ (found - y) ** 2 / total) if total > 0 else float(np.mean((found - y) ** 2))
