"""Gradient-boosted trees by XGBoost (the extra `xgboost`).

Level-wise trees with a penalised second-order gain; numbers as they are, missing values wherever they help, categories
as indicators. Trees are added until the loss on the tuning rows has not fallen for `patience` of them. The graph is
read from XGBoost's own model and rounds what it reads to float32, as XGBoost does.
**Prefer it:** where the team knows it already.
**Wrong:** where `gradient_boosting` is, and where categories have many values, each of which becomes a column.
**Cost:** as `gradient_boosting`, more where categories have many values.
**Source:** Chen & Guestrin 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray
from backstay.train.convert.classifiers import xgboost
from backstay.train.convert.graph import Graph
from backstay.train.estimators.contract import Estimator, Learned, Problem, Rows, Tensors, log_loss
from backstay.train.estimators.design import one_hot, write_one_hot
from backstay.train.options import Options


class XgBoost(Estimator):
    """Numbers first, then an indicator for each known value of each category."""

    def __init__(self, problem: Problem, patience: int, **parameters: Any) -> None:
        self._problem = problem
        self._patience = patience
        self._parameters = parameters
        self._model: Any = None

    def fit(self, train: Rows, tune: Rows) -> dict[str, float]:
        self._model = fitted(
            "XGBClassifier", self._problem, self._patience, self._parameters,
            (train, train.labels), (tune, tune.labels),
        )  # fmt: skip
        return {"trees": float(self._model.best_iteration + 1), "tune_loss": log_loss(self.probabilities(tune), tune)}

    def probabilities(self, rows: Rows) -> FloatArray:
        return np.asarray(self._model.predict_proba(matrix(rows, self._problem)), dtype=np.float64)

    def write(self, graph: Graph, tensors: Tensors) -> str:
        return xgboost(graph, self._model, write_one_hot(graph, tensors, self._problem, filled=False))


def build(problem: Problem, options: Options) -> Estimator:
    """Options: `trees` (at most, 1000), `learning_rate` (0.1), `depth` (of a tree, 6), `l2` (1), `columns` (share of
    them that a tree sees, 1), `patience` (20).
    """
    return XgBoost(
        problem,
        options.whole("patience", 20, low=1),
        n_estimators=options.whole("trees", 1000, low=1, high=20_000),
        learning_rate=options.number("learning_rate", 0.1, low=1e-6, high=1),
        max_depth=options.whole("depth", 6, low=1, high=64),
        reg_lambda=options.number("l2", 1.0, low=0),
        colsample_bytree=options.number("columns", 1.0, low=1e-3, high=1),
    )


def fitted(
    kind: str, problem: Problem, patience: int, parameters: Mapping[str, Any], train: Learned, tune: Learned
) -> Any:
    """A model of this kind of the library's, with no more trees once `patience` of them did not help on `tune`."""
    (rows, y), (asked, wanted) = train, tune
    model = getattr(library(), kind)(random_state=problem.seed, n_jobs=1, early_stopping_rounds=patience, **parameters)
    return model.fit(
        matrix(rows, problem),
        y,
        sample_weight=rows.weights,
        eval_set=[(matrix(asked, problem), wanted)],
        sample_weight_eval_set=[asked.weights],
        verbose=False,
    )


def matrix(rows: Rows, problem: Problem) -> FloatArray:
    """Numbers first, gaps left as they are, then an indicator for each known value of each category."""
    return one_hot(rows, problem, filled=False)


def library() -> Any:
    """The library itself. Raises BackstayError, with what to install, where it cannot be loaded."""
    try:
        import xgboost as found
    except (ImportError, OSError) as error:
        raise BackstayError(
            f"train.model is xgboost, which cannot be loaded ({error})",
            fix="install it with `pip install 'backstay[xgboost]'`",
        ) from error
    return found
