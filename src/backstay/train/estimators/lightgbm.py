"""Gradient-boosted trees by LightGBM (the extra `lightgbm`).

The same idea as `gradient_boosting`, by the library that made it fast: leaf-wise trees over binned columns, categories
split as sets, missing values wherever they help. Trees are added until the loss on the tuning rows has not fallen for
`patience` of them. The graph is read from LightGBM's own dump and stays in double precision.
**Prefer it:** to `gradient_boosting` where the team tunes and knows it already, or for its options; on the tables
tried here they are equally good.
**Wrong:** where `gradient_boosting` is: few labels, a wish for an embedding, answers beyond the range of the training
rows.
**Cost:** as `gradient_boosting`.
**Source:** Ke et al. 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray
from backstay.train.convert.classifiers import lightgbm
from backstay.train.convert.graph import Graph
from backstay.train.estimators.contract import Estimator, Learned, Problem, Rows, Tensors, log_loss
from backstay.train.estimators.design import categories_first, write_categories_first
from backstay.train.options import Options


class LightGbm(Estimator):
    """A row's categories come first."""

    def __init__(self, problem: Problem, patience: int, **parameters: Any) -> None:
        self._problem = problem
        self._patience = patience
        self._parameters = parameters
        self._model: Any = None

    def fit(self, train: Rows, tune: Rows) -> dict[str, float]:
        self._model = fitted(
            "LGBMClassifier", self._problem, self._patience, self._parameters,
            (train, train.labels), (tune, tune.labels),
        )  # fmt: skip
        return {"trees": float(self._model.best_iteration_), "tune_loss": log_loss(self.probabilities(tune), tune)}

    def probabilities(self, rows: Rows) -> FloatArray:
        return np.asarray(self._model.predict_proba(categories_first(rows)), dtype=np.float64)

    def write(self, graph: Graph, tensors: Tensors) -> str:
        return lightgbm(graph, self._model, write_categories_first(graph, tensors))


def build(problem: Problem, options: Options) -> Estimator:
    """Options: `trees` (at most, 1000), `learning_rate` (0.05), `leaves` (of a tree, 31), `leaf_rows` (fewest, 20),
    `l2` (0), `columns` (share of them that a tree sees, 1), `patience` (20).
    """
    return LightGbm(
        problem,
        options.whole("patience", 20, low=1),
        n_estimators=options.whole("trees", 1000, low=1, high=20_000),
        learning_rate=options.number("learning_rate", 0.05, low=1e-6, high=1),
        num_leaves=options.whole("leaves", 31, low=2),
        min_child_samples=options.whole("leaf_rows", 20, low=1),
        reg_lambda=options.number("l2", 0.0, low=0),
        colsample_bytree=options.number("columns", 1.0, low=1e-3, high=1),
    )


def fitted(
    kind: str, problem: Problem, patience: int, parameters: Mapping[str, Any], train: Learned, tune: Learned
) -> Any:
    """A model of this kind of the library's, with no more trees once `patience` of them did not help on `tune`."""
    loaded, (rows, y), (asked, wanted) = library(), train, tune
    model = getattr(loaded, kind)(
        random_state=problem.seed, n_jobs=1, deterministic=True, force_row_wise=True, verbose=-1, **parameters
    )
    return model.fit(
        categories_first(rows),
        y,
        sample_weight=rows.weights,
        eval_X=categories_first(asked),
        eval_y=wanted,
        eval_sample_weight=[asked.weights],
        categorical_feature=list(range(len(problem.levels))),
        callbacks=[loaded.early_stopping(patience, verbose=False)],
    )


def library() -> Any:
    """The library itself. Raises BackstayError, with what to install, where it cannot be loaded."""
    try:
        import lightgbm as found
    except (ImportError, OSError) as error:
        # It comes without the OpenMP library that it needs, which not every system has.
        raise BackstayError(
            f"train.model is lightgbm, which cannot be loaded ({error})",
            fix="install it with `pip install 'backstay[lightgbm]'`, and libgomp with the system's packages",
        ) from error
    return found
