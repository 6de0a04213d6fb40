"""Gradient-boosted trees for a number, by XGBoost (the extra `xgboost`).

Level-wise trees with a penalised second-order gain; numbers as they are, missing values wherever they help, categories
as indicators. Trees are added until the error on the tuning rows (squared or absolute, as `loss` says) has not fallen
for `patience` of them; those after the best are left out. The graph is read from XGBoost's own model and rounds what
it reads to float32, as XGBoost does.
**Prefer it:** where the team knows it already.
**Wrong:** for a trend that goes on: it never answers beyond what it has seen (`ridge` does); where categories have
many values, each of which becomes a column.
**Cost:** as `gradient_boosting`, more where categories have many values.
**Source:** Chen & Guestrin 2016.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.maths.arrays import FloatArray
from backstay.train.convert.graph import Graph
from backstay.train.convert.regressors import xgboost
from backstay.train.estimators.contract import Problem, Rows, Tensors
from backstay.train.estimators.design import write_one_hot
from backstay.train.estimators.numbers import Regressor, squared_error
from backstay.train.estimators.xgboost import fitted, matrix
from backstay.train.options import Options

OBJECTIVES = {"squared_error": "reg:squarederror", "absolute_error": "reg:absoluteerror"}


class ValueXgBoost(Regressor):
    """Numbers first, then an indicator for each known value of each category."""

    def __init__(self, problem: Problem, patience: int, **parameters: Any) -> None:
        self._problem = problem
        self._patience = patience
        self._parameters = parameters
        self._model: Any = None

    def fit(self, train: Rows, y: FloatArray, tune: Rows, y_tune: FloatArray) -> dict[str, float]:
        parameters = self._parameters
        self._model = fitted("XGBRegressor", self._problem, self._patience, parameters, (train, y), (tune, y_tune))
        loss = squared_error(self.values(tune), y_tune, tune.weights)
        return {"trees": float(self._model.best_iteration + 1), "tune_loss": loss}

    def values(self, rows: Rows) -> FloatArray:
        return np.asarray(self._model.predict(matrix(rows, self._problem)), dtype=np.float64)

    def write(self, graph: Graph, tensors: Tensors) -> str:
        return xgboost(graph, self._model, write_one_hot(graph, tensors, self._problem, filled=False))


def build(problem: Problem, options: Options) -> Regressor:
    """Options: `loss` ("squared_error" or "absolute_error"), `trees` (at most, 1000), `learning_rate` (0.1), `depth`
    (of a tree, 6), `l2` (1), `columns` (share of them that a tree sees, 1), `patience` (20).
    """
    return ValueXgBoost(
        problem,
        options.whole("patience", 20, low=1),
        objective=OBJECTIVES[options.choice("loss", "squared_error", tuple(OBJECTIVES))],
        n_estimators=options.whole("trees", 1000, low=1, high=20_000),
        learning_rate=options.number("learning_rate", 0.1, low=1e-6, high=1),
        max_depth=options.whole("depth", 6, low=1, high=64),
        reg_lambda=options.number("l2", 1.0, low=0),
        colsample_bytree=options.number("columns", 1.0, low=1e-3, high=1),
    )
