"""Classifiers of scikit-learn that answer sets of labels: one of two classes for each label."""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.bundle.manifest import OutputSpec
from backstay.train.convert.blocks import Block, Unsupported
from backstay.train.convert.graph import Graph
from backstay.train.convert.shelf import classify, place_of
from backstay.train.convert.transformers import apply

KINDS = ("MultiOutputClassifier", "OneVsRestClassifier")


def estimator_of(model: Any) -> Any:
    """What answers the sets: the last step of a pipeline, the best of a search, or the model itself.

    Raises:
        Unsupported: it is none of those that are known here.
    """
    model = getattr(model, "best_estimator_", model)
    last = estimator_of(model.steps[-1][1]) if type(model).__name__ == "Pipeline" else model
    if type(last).__name__ not in KINDS or not type(last).__module__.startswith("sklearn."):
        raise Unsupported(
            f"a {type(last).__name__} that answers sets of labels is not converted here",
            fix="wrap it in OneVsRestClassifier, or export it to ONNX with the outputs `members` and `scores`, both "
            "[rows, labels], and name the file",
        )
    return last


def has_chances(model: Any) -> bool:
    """Whether each label's score is a chance; otherwise it is the sigmoid of a decision."""
    return all(hasattr(one, "predict_proba") for one in estimator_of(model).estimators_)


def written(graph: Graph, model: Any, blocks: list[Block]) -> tuple[str, str]:
    """Which labels are said, bool [rows, labels], and their scores, double [rows, labels]."""
    model = getattr(model, "best_estimator_", model)
    if type(model).__name__ == "Pipeline":
        for _, step in model.steps[:-1]:
            blocks = apply(graph, "passthrough" if step is None else step, blocks)
        return written(graph, model.steps[-1][1], blocks)
    pairs = [_label(graph, one, blocks, type(model).__name__) for one in model.estimators_]
    return graph.side_by_side([member for member, _ in pairs]), graph.side_by_side([score for _, score in pairs])


def finish(graph: Graph, members: str, scores: str, width: int) -> tuple[bytes, tuple[OutputSpec, ...]]:
    """The whole graph with its outputs `members` and `scores`."""
    outputs = {
        "members": (members, OutputSpec("members", "BOOL", (-1, width), "members")),
        "scores": (graph.op("Cast", scores, to=1), OutputSpec("scores", "FP32", (-1, width), "scores")),
    }
    return graph.model(outputs), tuple(spec for _, spec in outputs.values())


def _label(graph: Graph, model: Any, blocks: list[Block], around: str) -> tuple[str, str]:
    """Whether one label is said, bool [rows, 1], and its score, double [rows, 1]."""
    if list(getattr(model, "classes_", ())) != [0, 1]:
        raise Unsupported("a label is in no row, or in all, of those that the model learned from", fix="leave it out")
    found = classify(graph, model, blocks)
    chance = graph.columns(found.chances, [1]) if found.chances else ""
    score = chance or (graph.op("Sigmoid", found.decision) if found.decision else "")
    if not score:
        raise Unsupported(f"{type(model).__name__} has neither chances nor decisions", fix="use another inside")
    if around == "OneVsRestClassifier":
        # It looks at the decision where there is one, else at the chance.
        value, least = (found.decision, 0.0) if hasattr(model, "decision_function") else (chance, 0.5)
        return graph.op("Greater", value, graph.number(least)), score
    at = graph.op("Unsqueeze", place_of(graph, found, 2), graph.constant(np.array([1])))
    return graph.op("Equal", at, graph.constant(np.array([[1]]))), score
