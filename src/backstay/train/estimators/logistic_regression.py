"""Logistic regression: a weighted sum of the columns, made a probability.

Numbers are standardised, missing ones put at the mean with an indicator of their own; categories are indicators, one a
known value.
**Prefer it:** for few rows, for straight relations and where the weights are to be read. Of Adult's labels 1%: 0.827,
boosting 0.823, self-supervision 0.821 (docs/benchmarks.md).
**Wrong:** where columns tell something only together, or bend: it cannot see either.
**Cost:** well under a second on tables of tens of thousands of rows.
**Source:** Cox 1958.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Fitter

from backstay.maths.arrays import FloatArray
from backstay.train.convert.graph import Graph
from backstay.train.convert.linear import logistic
from backstay.train.estimators.contract import Estimator, Problem, Rows, Tensors, log_loss
from backstay.train.estimators.design import one_hot, write_one_hot
from backstay.train.options import Options

_STEPS = 1000


class LogisticRegression(Estimator):
    """`strength` is scikit-learn's C."""

    def __init__(self, problem: Problem, strength: float) -> None:
        self._problem = problem
        self._strength = strength
        self._model: Any = None

    def fit(self, train: Rows, tune: Rows) -> dict[str, float]:
        self._model = Fitter(C=self._strength, max_iter=_STEPS)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", ConvergenceWarning)
            self._model.fit(one_hot(train, self._problem, filled=True), train.labels, sample_weight=train.weights)
        short = any(issubclass(w.category, ConvergenceWarning) for w in told)
        return {"converged": float(not short), "tune_loss": log_loss(self.probabilities(tune), tune)}

    def probabilities(self, rows: Rows) -> FloatArray:
        return np.asarray(self._model.predict_proba(one_hot(rows, self._problem, filled=True)), dtype=np.float64)

    def write(self, graph: Graph, tensors: Tensors) -> str:
        return logistic(graph, self._model, write_one_hot(graph, tensors, self._problem, filled=True)).chances


def build(problem: Problem, options: Options) -> Estimator:
    """Options: `strength` (inverse of the ridge penalty, 1; smaller pulls the weights harder towards zero)."""
    return LogisticRegression(problem, options.number("strength", 1.0, low=1e-9))
