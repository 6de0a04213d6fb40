"""Which output of a stranger's graph is the label, which the scores, which an embedding, and in which class order."""

from __future__ import annotations

import onnx
from onnx import numpy_helper

from backstay.bundle.datatypes import FLOATS, INTEGERS, from_onnx
from backstay.bundle.heads import DISTANCE, names_in
from backstay.bundle.manifest import OutputSpec
from backstay.kernel.errors import BackstayError

_LABELS = ("label", "output_label", "predicted", "prediction", "class", "out_label")
_SCORES = ("probabilities", "scores", "output_probability", "probability", "probs", "out_scores")
_NUMBERS = ("value", "variable", "prediction", "predictions", "output", "y", "target")
_MEMBERS = ("members", *_LABELS)
_EMBEDDINGS = ("embedding", "embeddings", "features", "out_embedding")


def outputs_of(model: onnx.ModelProto) -> tuple[OutputSpec, ...]:
    """The outputs with their roles, by name where it is a usual one, otherwise by type and shape.

    Raises:
        BackstayError: an output is a map (zipmap) or none is a label or scores.
    """
    specs = [_tensor(value) for value in model.graph.output]
    roles: dict[str, str] = {}
    usual = (("label", _LABELS), ("scores", _SCORES), ("embedding", _EMBEDDINGS), ("distance", (DISTANCE,)))
    for role, names in usual:
        found = next((n for n in names for s in specs if s.name.lower() == n and _could_be(s, role)), None)
        if found is not None:
            roles[next(s.name for s in specs if s.name.lower() == found)] = role
    for role in ("label", "scores"):
        left = [s for s in specs if s.name not in roles and _could_be(s, role)]
        if role not in roles.values() and len(left) == 1 and (role == "label" or _width_known(left[0], roles)):
            roles[left[0].name] = role
    if not {"label", "scores"} & set(roles.values()):
        raise BackstayError(
            f"none of the outputs ({', '.join(s.name for s in specs)}) is recognised as a label or as scores",
            fix="name them `label` and `probabilities` when exporting",
        )
    return tuple(OutputSpec(s.name, s.datatype, s.shape, roles.get(s.name, "value")) for s in specs)


def number_outputs_of(model: onnx.ModelProto) -> tuple[OutputSpec, ...]:
    """The outputs of a regression: the number by its usual names, else the only float output of one value a row.

    Raises:
        BackstayError: there is none, or more than one could be it.
    """
    specs = [_tensor(value) for value in model.graph.output]
    single = [s for s in specs if s.datatype in FLOATS and s.shape[1:] in ((), (1,), (-1,))]
    named = [s for s in single if s.name.lower() in _NUMBERS] or single
    if len(named) != 1:
        raise BackstayError(
            f"{len(named)} of the outputs ({', '.join(s.name for s in specs)}) could be the number that is predicted",
            fix="name it `value` when exporting, a float output of [rows] or [rows, 1]",
        )
    roles = {named[0].name: "number"}
    inside = next((s for s in specs if s.name.lower() in _EMBEDDINGS and s.name not in roles), None)
    if inside is not None and _could_be(inside, "embedding"):
        roles[inside.name] = "embedding"
    return tuple(OutputSpec(s.name, s.datatype, s.shape, roles.get(s.name, "value")) for s in specs)


def set_outputs_of(model: onnx.ModelProto) -> tuple[OutputSpec, ...]:
    """The outputs of a multi-label model: truth values or whole numbers [rows, labels] that say which labels are in the
    set, and floats of the same width that are the labels' chances.

    Raises:
        BackstayError: one of the two is not there, or more than one output could be it.
    """
    specs = [_tensor(value) for value in model.graph.output]
    wide = [s for s in specs if len(s.shape) == 2]
    said = _lone([s for s in wide if s.datatype in INTEGERS | {"BOOL"}], _MEMBERS, "which labels are said", specs)
    chances = _lone([s for s in wide if s.datatype in FLOATS], _SCORES, "the labels' chances", specs)
    roles = {said.name: "members", chances.name: "scores"}
    inside = next((s for s in specs if s.name.lower() in _EMBEDDINGS and s.name not in roles), None)
    if inside is not None and _could_be(inside, "embedding"):
        roles[inside.name] = "embedding"
    return tuple(OutputSpec(s.name, s.datatype, s.shape, roles.get(s.name, "value")) for s in specs)


def _lone(found: list[OutputSpec], names: tuple[str, ...], what: str, specs: list[OutputSpec]) -> OutputSpec:
    named = [s for s in found if s.name.lower() in names] or found
    if len(named) != 1:
        raise BackstayError(
            f"{len(named)} of the outputs ({', '.join(s.name for s in specs)}) could be {what}",
            fix="export `members`, truth values [rows, labels], and `scores`, floats [rows, labels]",
        )
    return named[0]


def classes_of(model: onnx.ModelProto, label: str | None) -> tuple[str, ...]:
    """The class names that the graph itself carries, in the order of its scores; empty when it carries none."""
    found: list[tuple[str, ...]] = [names_in(model)[0]]
    constants = {t.name: t for t in model.graph.initializer}
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name in ("classlabels_strings", "classlabels_ints", "classlabels_int64s"):
                values = [s.decode("utf-8") for s in attribute.strings] or [str(i) for i in attribute.ints]
                found.append(tuple(values))
        if node.op_type == "ArrayFeatureExtractor" and node.input[0] in constants:
            values_array = numpy_helper.to_array(constants[node.input[0]]).reshape(-1).tolist()
            found.append(tuple(v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in values_array))
    distinct = [c for c in dict.fromkeys(found) if len(c) > 1 and len(set(c)) == len(c)]
    return distinct[0] if len(distinct) == 1 and label is not None else ()


def _tensor(value: onnx.ValueInfoProto) -> OutputSpec:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise BackstayError(
            f"the output {value.name!r} is a map or a sequence, which the inference protocol cannot carry",
            fix='export with zipmap=False: `to_onnx(model, X[:1], options={id(model): {"zipmap": False}})`',
        )
    return OutputSpec(value.name, from_onnx(value.type.tensor_type.elem_type, value.name), shape_of(value), "value")


def shape_of(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """The declared shape, -1 where it is not fixed; the first is the rows, always -1."""
    dims = value.type.tensor_type.shape.dim
    sizes = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else -1 for d in dims]
    return (-1, *sizes[1:]) if sizes else (-1,)


def _could_be(spec: OutputSpec, role: str) -> bool:
    if role == "label":
        return spec.datatype in INTEGERS | {"BYTES", "BOOL"} and (len(spec.shape) == 1 or spec.shape[1:] == (1,))
    return spec.datatype in FLOATS and len(spec.shape) in {"scores": (1, 2), "distance": (1,)}.get(role, (2,))


def _width_known(spec: OutputSpec, roles: dict[str, str]) -> bool:
    """A lone float matrix is taken for scores; with an embedding beside it, it must be the only other one."""
    return len(spec.shape) == 2 or "label" not in roles.values()
