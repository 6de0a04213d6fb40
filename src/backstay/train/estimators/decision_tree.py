"""One decision tree: questions with two answers, until a leaf says how often each class occurred there.

Missing numbers go whichever way helps. Categories are indicators, one a known value: a question then reads "is it this
value?", where numbered categories would be cut at an order that means nothing. The depth is the one with the least
loss on the tuning rows.
**Prefer it:** where somebody has to read the model.
**Wrong:** where accuracy counts: boosted trees are more accurate nearly always. A few other rows make another tree:
its questions are one story of several.
**Cost:** one sort of each column a depth.
**Source:** Breiman et al. 1984.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from backstay.maths.arrays import FloatArray
from backstay.train.convert.classifiers import decision_tree
from backstay.train.convert.graph import Graph
from backstay.train.estimators.contract import Estimator, Problem, Rows, Tensors, log_loss
from backstay.train.estimators.design import one_hot, write_one_hot
from backstay.train.options import Options

_DEEPEST = 16


class DecisionTree(Estimator):
    """`depth` 0 means that the tuning rows choose."""

    def __init__(self, problem: Problem, depth: int, leaf_rows: int) -> None:
        self._problem = problem
        self._depths = [depth] if depth else list(range(1, _DEEPEST + 1))
        self._leaf_rows = leaf_rows
        self._model: Any = None

    def fit(self, train: Rows, tune: Rows) -> dict[str, float]:
        x = one_hot(train, self._problem, filled=False)
        least, chosen = np.inf, None
        for depth in self._depths:
            self._model = self._made(depth).fit(x, train.labels, sample_weight=train.weights)
            loss = log_loss(self.probabilities(tune), tune)
            if chosen is None or loss < least:
                least, chosen = loss, self._model
            if self._model.get_depth() < depth:
                break
        self._model = chosen
        return {
            "depth": float(self._model.get_depth()),
            "leaves": float(self._model.get_n_leaves()),
            "tune_loss": least,
        }

    def _made(self, depth: int) -> Any:
        return DecisionTreeClassifier(
            max_depth=depth, min_samples_leaf=self._leaf_rows, random_state=self._problem.seed
        )

    def probabilities(self, rows: Rows) -> FloatArray:
        return np.asarray(self._model.predict_proba(one_hot(rows, self._problem, filled=False)), dtype=np.float64)

    def write(self, graph: Graph, tensors: Tensors) -> str:
        return decision_tree(graph, self._model, write_one_hot(graph, tensors, self._problem, filled=False))


def build(problem: Problem, options: Options) -> Estimator:
    """Options: `depth` (0 chooses from 1 to 16), `leaf_rows` (fewest rows of a leaf, 10)."""
    return DecisionTree(problem, options.whole("depth", 0, low=0, high=64), options.whole("leaf_rows", 10, low=1))
