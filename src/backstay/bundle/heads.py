"""Heads that answer by examples: what they hold, the graph that answers with it, and the way from one to the other.

Such a head holds points on the unit sphere, each of a class: a mean a class (nearest prototype) or embeddings of
training rows (nearest neighbours). All nodes and constants of its graph have names that begin with "head/", so a head
can be read out of a bundle's graph and another be put in its place, with the encoder left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from backstay.bundle.manifest import Manifest, OutputSpec
from backstay.kernel.errors import BackstayError

FloatMatrix = npt.NDArray[np.floating[Any]]
PREFIX = "head/"
# What puts a similarity behind all others, and a logit that takes no part in a softmax.
_BEHIND, _NEVER = 1e3, 1e9
KINDS = ("prototype", "knn")
DISTANCE = "nearest_distance"
"""The output with the cosine distance to the nearest point, in [0, 2]."""
DISTANCES = OutputSpec(DISTANCE, "FP32", (-1,), "distance")


@dataclass(frozen=True, slots=True, eq=False)
class ExampleHead:
    """Everything such a head knows.

    Args:
        points: unit vectors [m, d]. owners: position of each one's class [m].
        log_weights: logarithm of each point's weight in the vote [m]; zeros for means.
        sharpness: what similarities are multiplied by before the softmax; 0 counts votes.
        neighbours: points that vote; 0 for prototypes, which all do.
        even: share of the scores that is spread evenly over the classes, in [0, 1].
        limits: cosine distance up to which each point holds a row [m]; only points that hold a row vote on it, and a
            row that none holds, on which all vote, is of none of the classes. None for no limit.
        none_label: what such a row is answered with.
    """

    kind: str
    points: npt.NDArray[np.float32]
    owners: npt.NDArray[np.int64]
    log_weights: npt.NDArray[np.float32]
    classes: tuple[str, ...]
    sharpness: float
    neighbours: int
    even: float
    limits: npt.NDArray[np.float32] | None
    none_label: str

    def __post_init__(self) -> None:
        if self.limits is not None and self.none_label in self.classes:
            raise BackstayError(
                f"rows of no known class would be answered {self.none_label!r}, which is one of the classes",
                fix="set another text as none_label in train.head_options, or none_of_these = 0",
            )


def with_class(content: bytes, manifest: Manifest, name: str, embeddings: FloatMatrix) -> tuple[bytes, Manifest]:
    """The same encoder with one class more, made of unit embeddings [n, d] of its examples; the draft of its manifest.

    The limits of the old points stay, and a further point only holds more rows: no row of an old class is called none
    that was not. The new points hold rows as far as the examples are from each other (the furthest of them from what
    the others would make); no level is promised for rows of the new class.

    Raises:
        BackstayError: the graph has no head that answers by examples, or it has that class.
    """
    model = onnx.load_model_from_string(content)
    found = detach(model)
    if found is None:
        raise BackstayError(
            "the model has no head that answers by examples, so a class cannot be added to it",
            fix='train one with train.head = "knn" or "prototype"',
        )
    head, embedding = found
    if name in head.classes or name == head.none_label:
        raise BackstayError(f"the model has the answer {name!r} already", fix="name a class that it does not have")
    given = np.asarray(embeddings, dtype=np.float64)
    reach = _furthest(given, head.kind)
    points = _direction(given.sum(axis=0))[None, :] if head.kind == "prototype" else given
    wider = replace(
        head,
        points=np.concatenate([head.points, points.astype(np.float32)]),
        owners=np.concatenate([head.owners, np.full(len(points), len(head.classes))]),
        log_weights=np.concatenate([head.log_weights, np.zeros(len(points), dtype=np.float32)]),
        classes=(*head.classes, name),
        limits=None if head.limits is None else np.append(head.limits, np.full(len(points), reach, dtype=np.float32)),
    )
    attach(model, wider, embedding)
    onnx.checker.check_model(model)
    outputs = tuple(replace(o, shape=(-1, len(wider.classes))) if o.role == "scores" else o for o in manifest.outputs)
    added = [*manifest.recipe.get("added_classes", []), name]
    recipe = {**manifest.recipe, "added_classes": added}
    draft = replace(manifest, outputs=outputs, classes=wider.classes, recipe=recipe, files={})
    return bytes(model.SerializeToString(deterministic=True)), draft


def _furthest(examples: npt.NDArray[np.float64], kind: str) -> float:
    """The largest cosine distance of an example to the mean of the others, or to the nearest of them."""
    if kind == "prototype":
        total = examples.sum(axis=0)
        return max(1.0 - float(row @ _direction(total - row)) for row in examples)
    similarity = examples @ examples.T
    np.fill_diagonal(similarity, -1.0)
    return float(1.0 - similarity.max(axis=1).min())


def _direction(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))


def has_head(content: bytes) -> bool:
    """Whether the graph answers by examples."""
    return any(t.name == f"{PREFIX}points" for t in onnx.load_model_from_string(content).graph.initializer)


def names_in(model: onnx.ModelProto) -> tuple[tuple[str, ...], str]:
    """The classes of a graph that answers by examples, and what it answers for rows of none; empty for another one."""
    node = next((n for n in model.graph.node if n.name == f"{PREFIX}names"), None)
    if node is None:
        return (), ""
    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return tuple(name.decode() for name in found["values_strings"]), str(found["default_string"].decode())


def attach(model: onnx.ModelProto, head: ExampleHead, embedding: str) -> None:
    """Put the head behind the value `embedding` [batch, d] of a graph; its outputs come after those that are there."""
    graph = model.graph
    graph.node.extend([*_distances(embedding), *_held(head), *_scores(head), *_labels(head)])
    graph.initializer.extend(_constants(head))
    graph.output.extend(
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, ["batch"]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", len(head.classes)]),
            helper.make_tensor_value_info(DISTANCE, TensorProto.FLOAT, ["batch"]),
        ]
    )


def detach(model: onnx.ModelProto) -> tuple[ExampleHead, str] | None:
    """Take the head out of a graph; answers it and the name of the value that it reads. None where there is none."""
    graph = model.graph
    constants = {
        t.name.removeprefix(PREFIX): numpy_helper.to_array(t) for t in graph.initializer if t.name.startswith(PREFIX)
    }
    nodes = {n.name.removeprefix(PREFIX): n for n in graph.node if n.name.startswith(PREFIX)}
    if "points" not in constants or not {"names", "similarity"} <= nodes.keys():
        return None
    classes, none_label = names_in(model)
    head = ExampleHead(
        kind="knn" if "neighbours" in constants else "prototype",
        points=constants["points"].T.copy(),
        owners=constants.get("owners", np.arange(constants["points"].shape[1])),
        log_weights=constants["log_weights"],
        classes=classes,
        sharpness=float(constants["sharpness"]),
        neighbours=int(constants.get("neighbours", np.zeros(1))[0]),
        even=float(constants["even"]),
        limits=constants.get("limits"),
        none_label=none_label,
    )
    embedding = str(nodes["similarity"].input[0])
    _keep(graph.node, lambda n: not n.name.startswith(PREFIX))
    _keep(graph.initializer, lambda t: not t.name.startswith(PREFIX))
    _keep(graph.output, lambda o: o.name not in ("label", "scores", DISTANCE))
    return head, embedding


def _keep(items: Any, wanted: Any) -> None:
    kept = [item for item in items if wanted(item)]
    del items[:]
    items.extend(kept)


def _constants(head: ExampleHead) -> list[TensorProto]:
    found: dict[str, npt.NDArray[Any]] = {
        "points": np.ascontiguousarray(head.points.T, dtype=np.float32),
        "log_weights": head.log_weights.astype(np.float32),
        "sharpness": np.array(head.sharpness, dtype=np.float32),
        "even": np.array(head.even, dtype=np.float32),
        "flat": np.array(head.even / len(head.classes), dtype=np.float32),
        "one": np.array(1.0, dtype=np.float32),
        "last": np.array([1], dtype=np.int64),
    }
    if head.kind == "knn":
        found["owners"] = head.owners.astype(np.int64)
        found["classes"] = np.array([len(head.classes)], dtype=np.int64)
        found["neighbours"] = np.array([head.neighbours], dtype=np.int64)
    if head.limits is not None:
        found["limits"] = head.limits.astype(np.float32)
        found["none"] = np.array(-1, dtype=np.int64)
        found |= {
            name: np.array(value, dtype=np.float32)
            for name, value in (("nought", 0.0), ("behind", -_BEHIND), ("between", -_BEHIND / 2), ("never", -_NEVER))
        }
    return [numpy_helper.from_array(value, PREFIX + name) for name, value in sorted(found.items())]


def _node(kind: str, inputs: list[str], output: str, **attributes: Any) -> NodeProto:
    """A node named by its first output; all names but those of the outputs are the head's own."""
    return helper.make_node(
        kind,
        [_own(i) for i in inputs],
        [_own(o) for o in output.split()],
        name=PREFIX + output.split()[0],
        **attributes,
    )


def _own(name: str) -> str:
    return name if name in ("label", "scores", DISTANCE) else PREFIX + name


def _distances(embedding: str) -> list[NodeProto]:
    similarity = _node("MatMul", ["embedding", "points"], "similarity")
    similarity.input[0] = embedding
    return [
        similarity,
        _node("ReduceMax", ["similarity", "last"], "nearest", keepdims=0),
        _node("Sub", ["one", "nearest"], DISTANCE),
    ]


def _held(head: ExampleHead) -> list[NodeProto]:
    """`key`: the similarities, those of points that have no vote on a row put behind all others."""
    if head.limits is None:
        return [_node("Identity", ["similarity"], "key")]
    return [
        _node("Add", ["similarity", "limits"], "reached"),
        _node("ReduceMax", ["reached", "last"], "furthest", keepdims=0),
        _node("Less", ["furthest", "one"], "far"),
        _node("Unsqueeze", ["far", "last"], "far_column"),
        _node("GreaterOrEqual", ["reached", "one"], "holds"),
        _node("Or", ["holds", "far_column"], "votes_here"),
        _node("Where", ["votes_here", "nought", "behind"], "penalty"),
        _node("Add", ["similarity", "penalty"], "key"),
    ]


def _sharpened(head: ExampleHead, key: str) -> list[NodeProto]:
    """`sharpened`: what the softmax is taken of, before the weights."""
    if head.limits is None:
        return [_node("Mul", [key, "sharpness"], "sharpened")]
    return [
        _node("Mul", [key, "sharpness"], "times"),
        _node("Less", [key, "between"], "excluded"),
        _node("Where", ["excluded", "never", "times"], "sharpened"),
    ]


def _scores(head: ExampleHead) -> list[NodeProto]:
    if head.kind == "prototype":
        votes = [
            *_sharpened(head, "key"),
            _node("Add", ["sharpened", "log_weights"], "logits"),
            _node("Softmax", ["logits"], "votes", axis=1),
        ]
    else:
        votes = [
            _node("TopK", ["key", "neighbours"], "near places", axis=1, largest=1, sorted=1),
            *_sharpened(head, "near"),
            _node("Gather", ["log_weights", "places"], "weights_there"),
            _node("Add", ["sharpened", "weights_there"], "logits"),
            _node("Softmax", ["logits"], "each", axis=1),
            _node("Gather", ["owners", "places"], "owners_there"),
            _node("Shape", ["similarity"], "rows", start=0, end=1),
            _node("Concat", ["rows", "classes"], "shape", axis=0),
            _node("ConstantOfShape", ["shape"], "zeros"),
            _node("ScatterElements", ["zeros", "owners_there", "each"], "votes", axis=1, reduction="add"),
        ]
    return [
        *votes,
        _node("Mul", ["votes", "even"], "given_up"),
        _node("Sub", ["votes", "given_up"], "damped"),
        _node("Add", ["damped", "flat"], "scores"),
    ]


def _labels(head: ExampleHead) -> list[NodeProto]:
    nodes = [_node("ArgMax", ["scores"], "likeliest", axis=1, keepdims=0)]
    chosen = "likeliest"
    if head.limits is not None:
        nodes.append(_node("Where", ["far", "none", "likeliest"], "chosen"))
        chosen = "chosen"
    names = _node(
        "LabelEncoder",
        [chosen],
        "label",
        domain="ai.onnx.ml",
        keys_int64s=list(range(len(head.classes))),
        values_strings=list(head.classes),
        default_string=head.none_label if head.limits is not None else "",
    )
    names.name = PREFIX + "names"
    return [*nodes, names]
