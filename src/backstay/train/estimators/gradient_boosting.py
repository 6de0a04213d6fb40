"""Gradient-boosted trees over binned columns (scikit-learn's `HistGradientBoostingClassifier`).

Each tree corrects what those before it got wrong. Numbers need no scaling, missing values go whichever way helps, and
categories are split as sets. Trees are added until the loss on the tuning rows has not fallen for `patience` of them,
and those after the best are left out.
**Prefer it:** for tables: it is what an encoder has to beat there. Adult, all labels: 0.872 accuracy, 0.927 AUC
(docs/benchmarks.md).
**Wrong:** with a few hundred labels, where logistic regression was ahead (0.827 to 0.823 with 326 rows of Adult). It
gives no embedding, so neighbours, retrieval and a learned space to watch are not to be had; inputs are watched
instead. A single tree reads better, a logistic regression goes beyond the range of the training rows.
**Cost:** Adult's 32,561 rows and 14 columns in 1.3 CPU-seconds (docs/benchmarks.md).
**Source:** Friedman 2001; Ke et al. 2017 (LightGBM).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from backstay.maths.arrays import FloatArray
from backstay.train.convert.classifiers import boosting
from backstay.train.convert.graph import Graph
from backstay.train.estimators.contract import Estimator, Learned, Problem, Rows, Tensors, log_loss
from backstay.train.estimators.design import categories_first, to_be_binned, write_categories_first
from backstay.train.options import Options


class GradientBoosting(Estimator):
    """A row's categories come first, as scikit-learn itself puts them."""

    def __init__(self, problem: Problem, patience: int, **parameters: Any) -> None:
        self._problem = problem
        self._patience = patience
        self._parameters = parameters
        self._model: Any = None

    def fit(self, train: Rows, tune: Rows) -> dict[str, float]:
        self._model = fitted(
            HistGradientBoostingClassifier, self._problem, self._patience, self._parameters,
            (train, train.labels), (tune, tune.labels),
        )  # fmt: skip
        return {"trees": float(self._model.n_iter_), "tune_loss": log_loss(self.probabilities(tune), tune)}

    def probabilities(self, rows: Rows) -> FloatArray:
        return np.asarray(self._model.predict_proba(categories_first(rows)), dtype=np.float64)

    def write(self, graph: Graph, tensors: Tensors) -> str:
        return boosting(graph, self._model, write_categories_first(graph, tensors))


def build(problem: Problem, options: Options) -> Estimator:
    """Options: `trees` (at most, 500), `learning_rate` (0.1), `leaves` (of a tree, 31), `leaf_rows` (fewest, 20), `l2`
    (0), `patience` (10).
    """
    return GradientBoosting(
        problem,
        options.whole("patience", 10, low=1),
        max_iter=options.whole("trees", 500, low=1, high=20_000),
        learning_rate=options.number("learning_rate", 0.1, low=1e-6, high=1),
        max_leaf_nodes=options.whole("leaves", 31, low=2),
        min_samples_leaf=options.whole("leaf_rows", 20, low=1),
        l2_regularization=options.number("l2", 0.0, low=0),
    )


def fitted(
    kind: Callable[..., Any],
    problem: Problem,
    patience: int,
    parameters: Mapping[str, Any],
    train: Learned,
    tune: Learned,
) -> Any:
    """A model of this kind of scikit-learn's with the trees that did best on `tune`, sought until `patience` of them
    did not help."""
    (rows, y), (asked, wanted) = train, tune
    x, categorical = to_be_binned(categories_first(rows)), list(range(len(problem.levels))) or None
    always = {"categorical_features": categorical, "random_state": problem.seed, **parameters}
    search = kind(**always, early_stopping=True, n_iter_no_change=patience, tol=0.0, scoring="loss")
    search.fit(
        x, y, sample_weight=rows.weights,
        X_val=categories_first(asked), y_val=wanted, sample_weight_val=asked.weights,
    )  # fmt: skip
    # scikit-learn gives the negative loss before the first tree and after each.
    best = max(1, int(np.argmax(search.validation_score_)))
    if best >= search.n_iter_:
        return search
    return kind(**{**always, "max_iter": best}, early_stopping=False).fit(x, y, sample_weight=rows.weights)
