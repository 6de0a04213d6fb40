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

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from backstay.maths.arrays import FloatArray
from backstay.train.convert.classifiers import decision_tree
from backstay.train.convert.graph import Graph
from backstay.train.estimators.contract import Estimator, Problem, Rows, Tensors, log_loss
from backstay.train.estimators.design import one_hot, write_one_hot
from backstay.train.options import Options

DEEPEST = 16


class DecisionTree(Estimator):
    """`depth` 0 means that the tuning rows choose."""

    def __init__(self, problem: Problem, depth: int, leaf_rows: int) -> None:
        self._problem = problem
        self._depths = [depth] if depth else list(range(1, DEEPEST + 1))
        self._leaf_rows = leaf_rows
        self._model: Any = None

    def fit(self, train: Rows, tune: Rows) -> dict[str, float]:
        x, asked = (one_hot(rows, self._problem, filled=False) for rows in (train, tune))
        self._model, figures = of_least_loss(
            self._depths,
            lambda depth: self._made(depth).fit(x, train.labels, sample_weight=train.weights),
            lambda model: log_loss(model.predict_proba(asked), tune),
        )
        return figures

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


def of_least_loss(
    depths: Sequence[int], grown: Callable[[int], Any], loss_of: Callable[[Any], float]
) -> tuple[Any, dict[str, float]]:
    """The tree of the depth with the least loss (the first of equals) and its figures; once a tree is less deep than it
    might be, deeper ones would be the same."""
    least = np.inf
    chosen: Any = None
    for depth in depths:
        tree = grown(depth)
        loss = loss_of(tree)
        if chosen is None or loss < least:
            least, chosen = loss, tree
        if tree.get_depth() < depth:
            break
    return chosen, {"depth": float(chosen.get_depth()), "leaves": float(chosen.get_n_leaves()), "tune_loss": least}
