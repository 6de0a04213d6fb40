"""Gradient-boosted trees for a number, by LightGBM (the extra `lightgbm`).

The same idea as `gradient_boosting`: leaf-wise trees over binned columns, categories split as sets, missing values
wherever they help. Trees are added until the error on the tuning rows (squared or absolute, as `loss` says) has not
fallen for `patience` of them; those after the best are left out. The graph is read from LightGBM's own dump and stays
in double precision.
**Prefer it:** to `gradient_boosting` where the team tunes and knows it already, or for its options.
**Wrong:** for a trend that goes on: it never answers beyond what it has seen (`ridge` does).
**Cost:** as `gradient_boosting`.
**Source:** Ke et al. 2017.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.maths.arrays import FloatArray
from backstay.train.convert.graph import Graph
from backstay.train.convert.regressors import lightgbm
from backstay.train.estimators.contract import Problem, Rows, Tensors
from backstay.train.estimators.design import categories_first, write_categories_first
from backstay.train.estimators.lightgbm import fitted
from backstay.train.estimators.numbers import Regressor, squared_error
from backstay.train.options import Options

OBJECTIVES = {"squared_error": "regression", "absolute_error": "regression_l1"}


class ValueLightGbm(Regressor):
    """A row's categories come first."""

    def __init__(self, problem: Problem, patience: int, **parameters: Any) -> None:
        self._problem = problem
        self._patience = patience
        self._parameters = parameters
        self._model: Any = None

    def fit(self, train: Rows, y: FloatArray, tune: Rows, y_tune: FloatArray) -> dict[str, float]:
        parameters = self._parameters
        self._model = fitted("LGBMRegressor", self._problem, self._patience, parameters, (train, y), (tune, y_tune))
        loss = squared_error(self.values(tune), y_tune, tune.weights)
        return {"trees": float(self._model.best_iteration_), "tune_loss": loss}

    def values(self, rows: Rows) -> FloatArray:
        return np.asarray(self._model.predict(categories_first(rows)), dtype=np.float64)

    def write(self, graph: Graph, tensors: Tensors) -> str:
        return lightgbm(graph, self._model, write_categories_first(graph, tensors))


def build(problem: Problem, options: Options) -> Regressor:
    """Options: `loss` ("squared_error" or "absolute_error"), `trees` (at most, 1000), `learning_rate` (0.05), `leaves`
    (of a tree, 31), `leaf_rows` (fewest, 20), `l2` (0), `columns` (share of them that a tree sees, 1), `patience` (20).
    """
    return ValueLightGbm(
        problem,
        options.whole("patience", 20, low=1),
        objective=OBJECTIVES[options.choice("loss", "squared_error", tuple(OBJECTIVES))],
        n_estimators=options.whole("trees", 1000, low=1, high=20_000),
        learning_rate=options.number("learning_rate", 0.05, low=1e-6, high=1),
        num_leaves=options.whole("leaves", 31, low=2),
        min_child_samples=options.whole("leaf_rows", 20, low=1),
        reg_lambda=options.number("l2", 0.0, low=0),
        colsample_bytree=options.number("columns", 1.0, low=1e-3, high=1),
    )
