"""Trees of scikit-learn, LightGBM and XGBoost that answer a number, by class: each a double tensor [rows, 1]."""

from __future__ import annotations

from typing import Any

from backstay.train.convert.blocks import Unsupported
from backstay.train.convert.boosted import lightgbm_logits, xgboost_logits
from backstay.train.convert.classifiers import boosted_sum
from backstay.train.convert.graph import Graph
from backstay.train.convert.trees import Nodes, Split, ensemble, of_tree


def decision_tree(graph: Graph, model: Any, matrix: str) -> str:
    """A `DecisionTreeRegressor`: the value of the leaf."""
    # scikit-learn rounds what trees read to float32 before it compares.
    return ensemble(graph, graph.floats(matrix), [(valued(model.tree_), 0)], 1)


def forest(graph: Graph, model: Any, matrix: str) -> str:
    """A `RandomForestRegressor` or `ExtraTreesRegressor`: the mean of its trees."""
    trees = [(valued(one.tree_), 0) for one in model.estimators_]
    total = ensemble(graph, graph.floats(matrix), trees, 1)
    return graph.op("Div", total, graph.number(float(len(trees))))


def valued(tree: Any, scale: float = 1.0) -> Nodes:
    """Nodes of a fitted `tree_` that answers a number, its leaves multiplied by `scale`.

    Raises:
        Unsupported: it answers several.
    """
    if tree.value.shape[1:] != (1, 1):
        raise Unsupported("a tree answers several numbers", fix="fit a model for each target")
    nodes, rows = of_tree(tree, 0)
    return [node if isinstance(node, Split) else scale * float(rows[int(node), 0]) for node in nodes]


def boosting(graph: Graph, model: Any, matrix: str) -> str:
    """A `HistGradientBoostingRegressor`, laid out as its classifying twin; for a gamma or Poisson loss the exp."""
    total = boosted_sum(graph, model, matrix)
    link = type(model._loss.link).__name__
    if link not in ("LogLink", "IdentityLink"):
        raise Unsupported(f"the link {link} is not known here", fix="fit it with another loss")
    return graph.op("Exp", total) if link == "LogLink" else total


def lightgbm(graph: Graph, model: Any, matrix: str) -> str:
    """An `LGBMRegressor`."""
    total, _, objective = lightgbm_logits(graph, model, matrix)
    name = objective.split()[0]
    if name in ("poisson", "gamma", "tweedie"):
        return graph.op("Exp", total)
    if name not in ("regression", "regression_l1", "huber", "fair", "quantile", "mape") or "sqrt" in objective:
        raise Unsupported(
            f"LightGBM's objective {objective!r} is not known here", fix="fit it with its usual objective"
        )
    return total


def xgboost(graph: Graph, model: Any, matrix: str) -> str:
    """An `XGBRegressor`."""
    total, _, objective = xgboost_logits(graph, model, matrix)
    if objective not in ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror"):
        raise Unsupported(f"XGBoost's objective {objective!r} is not known here", fix="fit it with its usual objective")
    return total
