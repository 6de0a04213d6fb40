"""What the tuning rows choose: how deep a tree goes, how many trees there are."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from backstay.train.estimators.contract import Problem, Rows
from backstay.train.estimators.decision_tree import of_least_loss
from backstay.train.estimators.gradient_boosting import fitted


class Tree:
    """One that grows to at most three levels."""

    def __init__(self, depth: int) -> None:
        self.wanted, self.depth = depth, min(depth, 3)

    def get_depth(self) -> int:
        return self.depth

    def get_n_leaves(self) -> int:
        return 2**self.depth


def test_of_equal_depths_the_least_is_taken_and_no_deeper_one_is_grown_than_there_is():
    losses, grown = {1: 2.0, 2: 1.0, 3: 1.0, 4: 1.5}, []

    def grow(depth: int) -> Tree:
        grown.append(depth)
        return Tree(depth)

    tree, figures = of_least_loss([1, 2, 3, 4, 5, 6], grow, lambda tree: losses[tree.wanted])
    assert tree.wanted == 2
    assert figures == {"depth": 2.0, "leaves": 4.0, "tune_loss": 1.0}
    assert grown == [1, 2, 3, 4]


def test_where_no_tree_helps_one_is_left():
    """The tuning rows say the opposite of the training rows."""
    x = np.linspace(-1, 1, 200)[:, None]
    y = (x[:, 0] > 0).astype(np.int64)
    train, tune = (Rows(x, np.zeros((200, 0), dtype=np.int64), said, np.ones(200)) for said in (y, 1 - y))
    problem = Problem(1, (), 2, 0)
    model = fitted(
        HistGradientBoostingClassifier, problem, 3, {"max_iter": 20}, (train, train.labels), (tune, tune.labels)
    )
    assert model.n_iter_ == 1
