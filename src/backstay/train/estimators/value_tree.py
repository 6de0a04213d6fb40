"""One regression tree: questions with two answers, until a leaf answers the mean of its training rows.

Missing numbers go whichever way helps; categories are indicators, one a known value. The depth is the one with the
least squared error on the tuning rows.
**Prefer it:** where somebody has to read the model.
**Wrong:** where accuracy counts: boosted trees are more accurate nearly always. It never answers beyond what it has
seen.
**Cost:** one sort of each column a depth.
**Source:** Breiman et al. 1984.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeRegressor

from backstay.maths.arrays import FloatArray
from backstay.train.convert.graph import Graph
from backstay.train.convert.regressors import decision_tree
from backstay.train.estimators.contract import Problem, Rows, Tensors
from backstay.train.estimators.decision_tree import DEEPEST, of_least_loss
from backstay.train.estimators.design import one_hot, write_one_hot
from backstay.train.estimators.numbers import Regressor, squared_error
from backstay.train.options import Options


class ValueTree(Regressor):
    """`depth` 0 means that the tuning rows choose."""

    def __init__(self, problem: Problem, depth: int, leaf_rows: int) -> None:
        self._problem = problem
        self._depths = [depth] if depth else list(range(1, DEEPEST + 1))
        self._leaf_rows = leaf_rows
        self._model: Any = None

    def fit(self, train: Rows, y: FloatArray, tune: Rows, y_tune: FloatArray) -> dict[str, float]:
        x, asked = (one_hot(rows, self._problem, filled=False) for rows in (train, tune))
        self._model, figures = of_least_loss(
            self._depths,
            lambda depth: self._made(depth).fit(x, y, sample_weight=train.weights),
            lambda model: squared_error(model.predict(asked), y_tune, tune.weights),
        )
        return figures

    def _made(self, depth: int) -> Any:
        return DecisionTreeRegressor(max_depth=depth, min_samples_leaf=self._leaf_rows, random_state=self._problem.seed)

    def values(self, rows: Rows) -> FloatArray:
        return np.asarray(self._model.predict(one_hot(rows, self._problem, filled=False)), dtype=np.float64)

    def write(self, graph: Graph, tensors: Tensors) -> str:
        return decision_tree(graph, self._model, write_one_hot(graph, tensors, self._problem, filled=False))


def build(problem: Problem, options: Options) -> Regressor:
    """Options: `depth` (0 chooses from 1 to 16), `leaf_rows` (fewest rows of a leaf, 10)."""
    return ValueTree(problem, options.whole("depth", 0, low=0, high=64), options.whole("leaf_rows", 10, low=1))
