"""Give a graph the inputs of another one, so that a successor answers the requests that its champion answers."""

from __future__ import annotations

from dataclasses import replace

import onnx
from onnx import NodeProto, TensorProto, compose, helper

from backstay.bundle.datatypes import onnx_type
from backstay.bundle.manifest import InputSpec

PREFIX = "signature/"


def with_inputs(content: bytes, own: tuple[InputSpec, ...], wanted: tuple[InputSpec, ...]) -> bytes | None:
    """The same model behind other inputs: numbers are cast, columns picked out of a matrix, flat pixels shaped.

    Args:
        own: what the graph takes, a tensor a column (or one image). wanted: what it is to take instead.

    Answers None where the wanted inputs do not hold every column that the model reads, or hold it as text where the
    model reads numbers or the reverse: then the two cannot answer the same requests.
    """
    model = onnx.load_model_from_string(content)
    if {spec.name for spec in wanted} & {value.name for value in model.graph.output}:
        return None
    if any(spec.adapter == "tokens" for spec in own):
        return _renamed(model, own, wanted)
    places = {name: (spec, i) for spec in wanted for i, name in enumerate(spec.columns)}
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []
    for spec in own:
        found = places.get(spec.columns[0])
        if found is None or len(spec.columns) != 1:
            return None
        bridge = _bridge(spec, *found)
        if bridge is None:
            return None
        nodes += bridge[0]
        constants += bridge[1]
    for spec in own:
        _rename_input(model.graph, spec.name, f"{PREFIX}to/{spec.name}")
    graph = helper.make_graph(
        nodes,
        "signature",
        [helper.make_tensor_value_info(s.name, onnx_type(s.datatype), ["rows", *_tail(s)]) for s in wanted],
        [helper.make_tensor_value_info(f"{PREFIX}{s.name}", onnx_type(s.datatype), ["rows", *_tail(s)]) for s in own],
        constants,
    )
    front = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    whole = compose.merge_models(front, model, io_map=[(f"{PREFIX}{s.name}", f"{PREFIX}to/{s.name}") for s in own])
    onnx.checker.check_model(whole)
    return bytes(whole.SerializeToString(deterministic=True))


def answered(own: tuple[InputSpec, ...], wanted: tuple[InputSpec, ...]) -> tuple[InputSpec, ...]:
    """The wanted inputs as the manifest is to state them: whether a text becomes codes is the model's own affair."""
    coded = {spec.columns for spec in own if spec.adapter == "tokens"}

    def one(spec: InputSpec) -> InputSpec:
        if spec.columns in coded:
            return replace(spec, adapter="tokens")
        return replace(spec, adapter="column") if spec.adapter == "tokens" else spec

    return tuple(one(spec) for spec in wanted)


def _renamed(model: onnx.ModelProto, own: tuple[InputSpec, ...], wanted: tuple[InputSpec, ...]) -> bytes | None:
    """A text model under another input name; codes are made before the graph, so nothing else can be bridged."""
    if len(own) != 1 or len(wanted) != 1 or own[0].columns != wanted[0].columns:
        return None
    if wanted[0].datatype != "BYTES" or wanted[0].shape != own[0].shape:
        return None
    _rename_input(model.graph, own[0].name, wanted[0].name)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _tail(spec: InputSpec) -> list[int | str]:
    return [size if size >= 0 else "any" for size in spec.shape[1:]]


def _bridge(own: InputSpec, given: InputSpec, place: int) -> tuple[list[NodeProto], list[TensorProto]] | None:
    """Nodes from the given input to what the graph's own input wants; None where there is no way."""
    text = own.datatype == "BYTES"
    if text != (given.datatype == "BYTES") or bool(own.column_shape) != bool(given.column_shape):
        return None
    if own.column_shape and (own.column_shape != given.column_shape or _is_channels_first(given)):
        return None
    if "vector" in (own.adapter, given.adapter) and (own.adapter != given.adapter or own.shape != given.shape):
        return None
    stem, source = f"{PREFIX}{own.name}", given.name
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []
    if given.adapter == "matrix" and not own.column_shape:
        constants.append(helper.make_tensor(f"{stem}/place", TensorProto.INT64, [1], [place]))
        nodes.append(helper.make_node("Gather", [source, f"{stem}/place"], [f"{stem}/picked"], axis=1))
        source = f"{stem}/picked"
    constants.append(helper.make_tensor(f"{stem}/shape", TensorProto.INT64, [len(own.shape)], list(own.shape)))
    shaped = f"{stem}/shaped" if not text and given.datatype != own.datatype else stem
    nodes.append(helper.make_node("Reshape", [source, f"{stem}/shape"], [shaped]))
    if shaped != stem:
        nodes.append(helper.make_node("Cast", [shaped], [stem], to=onnx_type(own.datatype)))
    return nodes, constants


def _is_channels_first(spec: InputSpec) -> bool:
    return len(spec.shape) == 4 and tuple(spec.shape[1:]) != spec.column_shape


def _rename_input(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
    for value in graph.input:
        if value.name == old:
            value.name = new
