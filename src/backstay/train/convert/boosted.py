"""Boosted trees of LightGBM and XGBoost, read from their own dumps into the one tree operator that we write.

The usual converter writes float32 thresholds for models that compare in double, so that a value at a threshold may
fall on the other side; here LightGBM's trees stay double, and what XGBoost reads is rounded to float32 as it does.
Neither library is imported: the fitted object tells all that is needed.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from backstay.train.convert.blocks import Unsupported
from backstay.train.convert.graph import Graph
from backstay.train.convert.trees import Nodes, Split, ensemble

_FIX = "export it to ONNX with the library's own tools and name the file"
_ENCODE = "encode them in a scikit-learn pipeline before it"


def lightgbm_logits(graph: Graph, model: Any, matrix: str) -> tuple[str, int, str]:
    """Add the trees of a fitted `LGBMModel`: their sum, how many columns it has, and the objective with its parameters.

    Raises:
        Unsupported: zeros that count as missing, linear trees, or categories that pandas coded.
    """
    dump = model.booster_.dump_model()
    if dump.get("pandas_categorical"):
        raise Unsupported("the model holds categories of pandas", fix=_ENCODE)
    columns = int(dump["num_tree_per_iteration"])
    trees = [(lightgbm_nodes(tree["tree_structure"]), place % columns) for place, tree in enumerate(dump["tree_info"])]
    total = ensemble(graph, matrix, trees, columns)
    if dump["average_output"]:
        total = graph.op("Div", total, graph.constant(np.array([[len(trees) / columns]])))
    return total, columns, str(dump["objective"])


def lightgbm_nodes(root: dict[str, Any]) -> Nodes:
    """One tree of LightGBM's dump, the root first."""
    nodes: Nodes = []

    def add(node: dict[str, Any]) -> int:
        place = len(nodes)
        if "leaf_value" in node:
            if "leaf_coeff" in node:
                raise Unsupported("the model's leaves are linear models", fix=_FIX)
            nodes.append(float(node["leaf_value"]))
            return place
        nodes.append(0.0)
        left, right = add(node["left_child"]), add(node["right_child"])
        nodes[place] = _lightgbm_split(node, left, right)
        return place

    add(root)
    return nodes


def _lightgbm_split(node: dict[str, Any], left: int, right: int) -> Split:
    feature, kind = int(node["split_feature"]), node["missing_type"]
    if node["decision_type"] == "==":
        # What is missing or was never seen is in no set.
        return Split(feature, left, right, members=tuple(float(v) for v in str(node["threshold"]).split("||")))
    if kind == "Zero":
        raise Unsupported("zeros count as missing in this model (zero_as_missing)", fix=_FIX)
    threshold = float(node["threshold"])
    # Where nothing was missing in training, a missing value is read as 0.
    missing_left = bool(node["default_left"]) if kind == "NaN" else threshold >= 0.0
    return Split(feature, left, right, threshold, missing_left)


def xgboost_logits(graph: Graph, model: Any, matrix: str) -> tuple[str, int, str]:
    """Add the trees of a fitted `XGBModel`: their sum with the base score, its columns, and the objective.

    Raises:
        Unsupported: other boosters than trees, splits by category, or several targets.
    """
    booster = model.get_booster()
    best = getattr(model, "best_iteration", None) if _stopped_early(model) else None
    if best is not None:
        booster = booster[: int(best) + 1]
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    boosting = learner["gradient_booster"]
    if boosting["name"] != "gbtree":
        raise Unsupported(f"the booster is {boosting['name']!r}, only trees are known", fix=_FIX)
    if model.missing is not None and not np.isnan(model.missing):
        raise Unsupported(
            f"{model.missing!r} counts as missing in this model", fix="fit it with NaN where it is missing"
        )
    columns = max(int(learner["learner_model_param"]["num_class"]), 1)
    if int(learner["learner_model_param"]["num_target"]) > 1:
        raise Unsupported("the model answers several targets", fix=_FIX)
    trees = [
        (xgboost_nodes(tree), target)
        for tree, target in zip(boosting["model"]["trees"], boosting["model"]["tree_info"], strict=True)
    ]
    objective = str(learner["objective"]["name"])
    base = _base_score(str(learner["learner_model_param"]["base_score"]), objective, columns)
    total = graph.op("Add", ensemble(graph, graph.floats(matrix), trees, columns), graph.constant(base))
    return total, columns, objective


def xgboost_nodes(tree: dict[str, Any]) -> Nodes:
    """One tree of XGBoost's model. It asks whether a float32 is *less*, we whether it is at most: the one before."""
    if any(tree["split_type"]):
        raise Unsupported("the model splits by categories", fix=_ENCODE)
    nodes: Nodes = []
    for place, left in enumerate(tree["left_children"]):
        value = np.float32(tree["split_conditions"][place])
        if left < 0:
            nodes.append(float(value))
            continue
        before = float(np.nextafter(value, np.float32(-np.inf)))
        right, feature = int(tree["right_children"][place]), int(tree["split_indices"][place])
        nodes.append(Split(feature, int(left), right, before, bool(tree["default_left"][place])))
    return nodes


def _stopped_early(model: Any) -> bool:
    return bool(getattr(model, "early_stopping_rounds", None))


def _base_score(text: str, objective: str, columns: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The score before the first tree [1, columns], in the space of logits."""
    scores = np.array(json.loads(text if text.startswith("[") else f"[{text}]"), dtype=np.float64)
    if objective in ("binary:logistic", "reg:logistic"):
        scores = np.log(scores / (1.0 - scores))
    return np.broadcast_to(scores, (1, columns)).astype(np.float64)
