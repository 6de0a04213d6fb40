"""Ridge regression: a weighted sum of the columns, the weights pulled towards zero.

Numbers are standardised, missing ones put at the mean with an indicator of their own; categories are indicators, one a
known value.
**Prefer it:** for few rows, for straight relations, for what must go on beyond the range of the training rows, and
where the weights are to be read.
**Wrong:** where columns tell something only together, or bend: it cannot see either. A few huge errors pull all its
weights.
**Cost:** one linear system, well under a second.
**Source:** Hoerl & Kennard 1970.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import Ridge as Fitter

from backstay.maths.arrays import FloatArray
from backstay.train.convert.graph import Graph
from backstay.train.convert.linear import values
from backstay.train.estimators.contract import Problem, Rows, Tensors
from backstay.train.estimators.design import one_hot, write_one_hot
from backstay.train.estimators.numbers import Regressor, squared_error
from backstay.train.options import Options


class Ridge(Regressor):
    """`penalty` is scikit-learn's alpha."""

    def __init__(self, problem: Problem, penalty: float) -> None:
        self._problem = problem
        self._penalty = penalty
        self._model: Any = None

    def fit(self, train: Rows, y: FloatArray, tune: Rows, y_tune: FloatArray) -> dict[str, float]:
        self._model = Fitter(alpha=self._penalty)
        self._model.fit(one_hot(train, self._problem, filled=True), y, sample_weight=train.weights)
        return {"tune_loss": squared_error(self.values(tune), y_tune, tune.weights)}

    def values(self, rows: Rows) -> FloatArray:
        return np.asarray(self._model.predict(one_hot(rows, self._problem, filled=True)), dtype=np.float64)

    def write(self, graph: Graph, tensors: Tensors) -> str:
        return values(graph, self._model, write_one_hot(graph, tensors, self._problem, filled=True))


def build(problem: Problem, options: Options) -> Regressor:
    """Options: `penalty` (1; larger pulls the weights harder towards zero)."""
    return Ridge(problem, options.number("penalty", 1.0, low=1e-9))
