"""Classifiers of scikit-learn, LightGBM and XGBoost by class: each adds itself to a graph, answering probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.train.convert.blocks import Unsupported
from backstay.train.convert.boosted import lightgbm_logits, xgboost_logits
from backstay.train.convert.graph import Graph
from backstay.train.convert.trees import Nodes, ensemble, of_predictor, of_tree


def decision_tree(graph: Graph, model: Any, matrix: str) -> str:
    """A `DecisionTreeClassifier`: the class shares of the leaf, double [rows, classes]."""
    return _forest(graph, [model], matrix)


def forest(graph: Graph, model: Any, matrix: str) -> str:
    """A `RandomForestClassifier` or `ExtraTreesClassifier`: the mean of its trees' shares."""
    return _forest(graph, list(model.estimators_), matrix)


def _forest(graph: Graph, models: list[Any], matrix: str) -> str:
    """Each tree answers the number of its leaf; a table says what shares of the classes a leaf holds."""
    trees: list[tuple[Nodes, int]] = []
    tables = []
    first = 0
    for place, model in enumerate(models):
        nodes, rows = of_tree(model.tree_, first)
        trees.append((nodes, place))
        tables.append(rows)
        first += len(rows)
    # scikit-learn rounds what trees read to float32 before it compares.
    leaves = graph.op("Cast", ensemble(graph, graph.floats(matrix), trees, len(trees)), to=7)
    shares = graph.op("Gather", graph.constant(np.concatenate(tables)), leaves, axis=0)
    return graph.op("ReduceMean", shares, graph.constant(np.array([1], np.int64)), keepdims=0)


def boosting(graph: Graph, model: Any, matrix: str) -> str:
    """A `HistGradientBoostingClassifier`: the chances of its logits."""
    return probabilities(graph, boosted_sum(graph, model, matrix), int(model.n_trees_per_iteration_))


def boosted_sum(graph: Graph, model: Any, matrix: str) -> str:
    """The summed trees of a histogram boosting. Its categorical columns come first in the matrix, as it puts them
    itself; a category that is text comes as its place in `known_categories`, NaN where it is none of them."""
    categories = {
        place: np.arange(len(known), dtype=np.float64) if is_text(known) else known.astype(np.float64)
        for place, known in enumerate(known_categories(model))
    }
    baseline = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(1, -1)
    trees = [
        (of_predictor(predictor, categories), target)
        for step in model._predictors
        for target, predictor in enumerate(step)
    ]
    return graph.op("Add", ensemble(graph, matrix, trees, baseline.shape[1]), graph.constant(baseline))


def known_categories(model: Any) -> list[npt.NDArray[Any]]:
    """The values, by code, of each categorical column of a histogram gradient boosting, what is missing left out."""
    if model._preprocessor is None:
        return []
    encoder = model._preprocessor.named_transformers_["encoder"]
    return [np.array([v for v in values if not is_missing(v)]) for values in encoder.categories_]


def is_text(values: npt.NDArray[Any]) -> bool:
    """Whether categories are texts; otherwise they are numbers or booleans."""
    return values.dtype.kind not in "biuf"


def is_missing(value: Any) -> bool:
    """None, NaN and their kind: what does not equal itself."""
    return value is None or bool(value != value)


def lightgbm(graph: Graph, model: Any, matrix: str) -> str:
    """An `LGBMClassifier` of two classes (logistic) or more (softmax)."""
    logits, columns, objective = lightgbm_logits(graph, model, matrix)
    name, *parameters = objective.split()
    if name not in ("binary", "multiclass"):
        raise Unsupported(f"LightGBM's objective {name!r} is not known here", fix="fit it with its usual objective")
    slope = next((float(p.partition(":")[2]) for p in parameters if p.startswith("sigmoid:")), 1.0)
    steep = logits if name == "multiclass" or slope == 1.0 else graph.op("Mul", logits, graph.constant(np.array(slope)))
    return probabilities(graph, steep, columns)


def xgboost(graph: Graph, model: Any, matrix: str) -> str:
    """An `XGBClassifier` of two classes (logistic) or more (softmax)."""
    logits, columns, objective = xgboost_logits(graph, model, matrix)
    if objective not in ("binary:logistic", "multi:softprob"):
        raise Unsupported(f"XGBoost's objective {objective!r} is not known here", fix="fit it with its usual objective")
    return probabilities(graph, logits, columns)


def probabilities(graph: Graph, logits: str, columns: int) -> str:
    """double [rows, classes]: the sigmoid of one column of logits on two sides, the softmax of more."""
    if columns > 1:
        return graph.op("Softmax", logits, axis=1)
    positive = graph.op("Sigmoid", logits)
    return graph.side_by_side([graph.op("Sub", graph.constant(np.ones((1, 1))), positive), positive])
