"""Decision trees of scikit-learn, one or many, as one `TreeEnsemble` operator (ai.onnx.ml 5) in double precision.

A numeric node sends `x <= threshold` to the left and a missing value wherever the fitted tree sends it. A categorical
node is a set of values: its members go one way; all else (other categories, unseen values, what is missing) goes the
other. Which side is written as the set depends on where the tree sends missing values, since scikit-learn treats an
unseen category as a missing one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

from backstay.maths.arrays import FloatArray
from backstay.train.convert.graph import ML, Graph

_LESS_OR_EQUAL, _MEMBER = 0, 6
_SUM, _AS_IT_IS = 1, 0


@dataclass(frozen=True, slots=True)
class Split:
    """An inner node. `yes` and `no` are places in the tree; with `members` the question is whether x is one of them,
    otherwise whether x <= threshold."""

    feature: int
    yes: int
    no: int
    threshold: float = 0.0
    missing_yes: bool = False
    members: tuple[float, ...] | None = None


Nodes = list[Split | float]
"""Nodes of one tree by place, the root first: a split, or the value of a leaf."""


def of_tree(tree: Any, first_leaf: int) -> tuple[Nodes, FloatArray]:
    """Nodes of a fitted `tree_`, each leaf's value being its row in the table of leaves, and that table's rows.

    Args:
        first_leaf: row of the table where this tree's leaves begin.
    """
    nodes: Nodes = []
    rows: list[FloatArray] = []
    for place in range(tree.node_count):
        if tree.children_left[place] < 0:
            nodes.append(float(first_leaf + len(rows)))
            rows.append(tree.value[place, 0, :])
        else:
            nodes.append(
                Split(
                    int(tree.feature[place]),
                    int(tree.children_left[place]),
                    int(tree.children_right[place]),
                    float(tree.threshold[place]),
                    bool(tree.missing_go_to_left[place]),
                )
            )
    return nodes, np.array(rows, dtype=np.float64)


def of_predictor(predictor: Any, categories: dict[int, npt.NDArray[np.float64]]) -> Nodes:
    """Nodes of one tree of a fitted histogram gradient boosting.

    Args:
        categories: by categorical feature, the value that stands for each of its codes.
    """
    nodes: Nodes = []
    for node in predictor.nodes:
        if node["is_leaf"]:
            nodes.append(float(node["value"]))
            continue
        feature, left, right = int(node["feature_idx"]), int(node["left"]), int(node["right"])
        missing_left = bool(node["missing_go_to_left"])
        if not node["is_categorical"]:
            nodes.append(Split(feature, left, right, float(node["num_threshold"]), missing_left))
            continue
        known = categories[feature]
        leftwards = _bits(predictor.raw_left_cat_bitsets[node["bitset_idx"]])[: len(known)]
        if missing_left:
            nodes.append(Split(feature, right, left, members=tuple(known[~leftwards].tolist())))
        else:
            nodes.append(Split(feature, left, right, members=tuple(known[leftwards].tolist())))
    return nodes


def _bits(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    return np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little").astype(bool)


def ensemble(graph: Graph, matrix: str, trees: list[tuple[Nodes, int]], targets: int) -> str:
    """Add trees to a graph: the sum of their leaves' values by target, double [rows, targets].

    Args:
        matrix: double [rows, features], NaN where missing.
        trees: each with the target that its leaves count towards.
    """
    writer = _Writer()
    roots = [writer.tree(nodes, target) for nodes, target in trees]
    return graph.op(
        "TreeEnsemble",
        matrix,
        domain=ML,
        aggregate_function=_SUM,
        post_transform=_AS_IT_IS,
        n_targets=targets,
        tree_roots=roots,
        nodes_modes=numpy_helper.from_array(np.array(writer.modes, np.uint8)),
        nodes_splits=numpy_helper.from_array(np.array(writer.thresholds, np.float64)),
        nodes_featureids=writer.features,
        nodes_missing_value_tracks_true=writer.missing,
        nodes_truenodeids=writer.ids[True],
        nodes_trueleafs=writer.leaves[True],
        nodes_falsenodeids=writer.ids[False],
        nodes_falseleafs=writer.leaves[False],
        leaf_targetids=writer.targets,
        leaf_weights=numpy_helper.from_array(np.array(writer.values, np.float64)),
        **writer.sets(),
    )


class _Writer:
    """The operator's attributes: inner nodes and leaves are numbered apart, over all trees."""

    def __init__(self) -> None:
        self.modes: list[int] = []
        self.thresholds: list[float] = []
        self.features: list[int] = []
        self.missing: list[int] = []
        self.ids: dict[bool, list[int]] = {True: [], False: []}
        self.leaves: dict[bool, list[int]] = {True: [], False: []}
        self.targets: list[int] = []
        self.values: list[float] = []
        self._members: list[float] = []

    def tree(self, nodes: Nodes, target: int) -> int:
        """Add one tree and answer the number of its root."""
        if not isinstance(nodes[0], Split):
            # The operator knows no tree without a question: ask one whose answers are the same.
            nodes = [Split(0, 1, 1), nodes[0]]
        numbers: dict[int, int] = {}
        root, inner = len(self.modes), 0
        for place, node in enumerate(nodes):
            if isinstance(node, Split):
                numbers[place] = root + inner
                inner += 1
            else:
                numbers[place] = len(self.values)
                self.values.append(node)
                self.targets.append(target)
        for node in nodes:
            if isinstance(node, Split):
                self._split(node, nodes, numbers)
        return root

    def _split(self, node: Split, nodes: Nodes, numbers: dict[int, int]) -> None:
        empty = node.members is not None and not node.members
        yes = node.no if empty else node.yes
        is_set = node.members is not None and not empty
        if is_set and node.members is not None:
            self._members += [*node.members, np.nan]
        self.modes.append(_MEMBER if is_set else _LESS_OR_EQUAL)
        self.thresholds.append(node.threshold)
        self.features.append(node.feature)
        self.missing.append(int(node.missing_yes))
        for side, place in ((True, yes), (False, node.no)):
            self.ids[side].append(numbers[place])
            self.leaves[side].append(int(not isinstance(nodes[place], Split)))

    def sets(self) -> dict[str, Any]:
        """The members of all categorical nodes, in the nodes' order, a NaN after each set."""
        return (
            {"membership_values": numpy_helper.from_array(np.array(self._members, np.float64))} if self._members else {}
        )
