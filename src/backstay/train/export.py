"""The trained network as one ONNX graph: raw columns in, class names out, preprocessing and calibration inside.

torch exports the numeric core; a prefix reads the columns and a suffix names the classes. Paths and doc strings are
stripped, so that the same weights are the same bytes.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import onnx
import torch
from onnx import TensorProto, compose, helper
from torch import Tensor, nn
from torch.nn import functional

from backstay.bundle.heads import DISTANCE, DISTANCES, attach
from backstay.bundle.manifest import InputSpec, OutputSpec
from backstay.bundle.tokens import Tokens
from backstay.train.examples import Profile
from backstay.train.heads.examples import ByExamples
from backstay.train.network import Network

OPSET = 20
_ML_OPSET = 4
_IR = 10
OUTPUTS = ("label", "scores", "embedding", DISTANCE)


def export(
    network: Network, profile: Profile, example: tuple[Tensor, ...], classes: tuple[str, ...]
) -> tuple[bytes, tuple[InputSpec, ...], tuple[OutputSpec, ...]]:
    """Bytes, inputs and outputs. `example` has 2 rows or more.

    Raises:
        onnx.checker.ValidationError: the graph is not sound (a fault of the exporter, never of the data).
    """
    whole = core_graph(network, profile, example)
    if isinstance(network.head, ByExamples):
        attach(_same_versions(whole), network.head.exported(classes), "core/out_embedding")
    else:
        whole = compose.merge_models(whole, _names(classes), io_map=[("core/out_index", "suffix/index")])
    renamed = {"suffix/label": "label", "core/out_scores": "scores", "core/out_embedding": "embedding"}
    for old, new in renamed.items():
        rename_value(whole.graph, old, new)
    outputs = sorted(whole.graph.output, key=lambda o: OUTPUTS.index(o.name))
    del whole.graph.output[:]
    whole.graph.output.extend(outputs)
    onnx.checker.check_model(whole, full_check=True)
    dimension = outputs[2].type.tensor_type.shape.dim[1].dim_value
    specs = (
        OutputSpec("label", "BYTES", (-1,), "label"),
        OutputSpec("scores", "FP32", (-1, len(classes)), "scores"),
        OutputSpec("embedding", "FP32", (-1, dimension), "embedding"),
        *([DISTANCES] if isinstance(network.head, ByExamples) else []),
    )
    return whole.SerializeToString(deterministic=True), input_specs(profile), specs


def core_graph(network: Network, profile: Profile, example: tuple[Tensor, ...]) -> onnx.ModelProto:
    """The network from raw columns on, its outputs under the names that torch gave them, behind "core/"."""
    core = compose.add_prefix(strip_traces(_core(network, profile, example)), "core/")
    if profile.image:
        rename_value(core.graph, "core/pixels", _input_name(profile.image))
    if profile.text:
        rename_value(core.graph, "core/codes", _input_name(profile.text))
    return core if profile.image or profile.text else _with_columns(core, profile)


def input_specs(profile: Profile) -> tuple[InputSpec, ...]:
    if profile.image:
        return (
            InputSpec(
                _input_name(profile.image), "UINT8", (-1, *profile.shape), "image", (profile.image,), profile.shape
            ),
        )
    if profile.text:
        return (InputSpec(_input_name(profile.text), "BYTES", (-1, 1), "tokens", (profile.text,)),)
    if profile.vector:
        return (InputSpec(_input_name(profile.vector), "FP32", (-1, *profile.shape), "vector", (profile.vector,)),)
    numbers = [InputSpec(_input_name(name), "FP64", (-1, 1), "column", (name,)) for name in profile.numbers]
    return (
        *numbers,
        *(InputSpec(_input_name(name), "BYTES", (-1, 1), "column", (name,)) for name in profile.categories),
    )


def _input_name(column: str) -> str:
    """A graph's inputs and outputs share one space of names, so a column called like an output gets another."""
    return f"{column}_column" if column in OUTPUTS else column


class _Encoder(nn.Module):
    """The encoder alone, taking its tensors as a network does."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, *tensors: Tensor) -> Tensor:
        embeddings: Tensor = self.encoder(*tensors)
        return embeddings


def _core(network: Network, profile: Profile, example: tuple[Tensor, ...]) -> onnx.ModelProto:
    names = _tensor_names(profile)
    batch = torch.export.Dim("batch", min=1)
    sizes = {0: batch}
    if profile.text:
        longest = Tokens(profile.tokenizer.encode()).length
        sizes[1] = torch.export.Dim("length", min=1, max=longest)
        # An example of the longest texts: a shorter one may teach the exporter that all texts are as short.
        example = tuple(functional.pad(t, (0, longest - t.shape[1])) for t in example)
    # A head that answers by examples is put behind the encoder node by node, so that it can be found again.
    alone = isinstance(network.head, ByExamples)
    with quiet():
        program = torch.onnx.export(
            _Encoder(network.encoder).eval() if alone else network.eval(),
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=names,
            output_names=["out_embedding"] if alone else ["out_embedding", "out_scores", "out_index"],
            dynamic_shapes=(tuple(dict(sizes) for _ in example),),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export answered nothing")
    return versioned(program.model_proto)


def versioned(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph under the version of the format that every graph of a bundle has."""
    model.ir_version = _IR
    return model


def _tensor_names(profile: Profile) -> list[str]:
    if profile.image:
        return ["pixels"]
    if profile.text:
        return ["codes"]
    if profile.vector:
        return ["vector"]
    return ["numbers"] * bool(profile.numbers) + ["codes"] * bool(profile.categories)


@contextmanager
def quiet() -> Iterator[None]:
    """Exporting warns about torch's own deprecated calls and an absent torchvision, and where it fails it writes the
    graph so far to stderr: nothing that a reader can mend. What fails is raised."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    named = [logging.getLogger(name) for name in tuple(logging.Logger.manager.loggerDict) if name.startswith("torch")]
    handlers = [(handler, handler.level) for one in named for handler in one.handlers]
    for handler, _ in handlers:
        handler.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            # A UserWarning of the name of an axis, or of what torch's own recurrent layers do to themselves.
            for category in (UserWarning, DeprecationWarning, FutureWarning, PendingDeprecationWarning):
                warnings.simplefilter("ignore", category)
            yield
    finally:
        logger.setLevel(level)
        for handler, before in handlers:
            handler.setLevel(before)


def strip_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Delete what says where the exporter ran: paths, stack traces, doc strings."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    del graph.value_info[:]
    return model


def _with_columns(core: onnx.ModelProto, profile: Profile) -> onnx.ModelProto:
    """Put the reading of columns before the core: standardise doubles, encode strings (0 = unseen, 1 = missing)."""
    if profile.vector:
        return _with_vector(core, profile)
    nodes, constants, inputs, outputs, io_map = [], [], [], [], []
    for place, (name, mean, deviation) in enumerate(
        zip(profile.numbers, profile.means, profile.deviations, strict=True)
    ):
        inputs.append(helper.make_tensor_value_info(_input_name(name), TensorProto.DOUBLE, ["batch", 1]))
        constants += [
            helper.make_tensor(f"prefix/mean_{place}", TensorProto.DOUBLE, [], [mean]),
            helper.make_tensor(f"prefix/deviation_{place}", TensorProto.DOUBLE, [], [deviation]),
        ]
        nodes += [
            helper.make_node("Sub", [_input_name(name), f"prefix/mean_{place}"], [f"prefix/centred_{place}"]),
            helper.make_node(
                "Div", [f"prefix/centred_{place}", f"prefix/deviation_{place}"], [f"prefix/standard_{place}"]
            ),
            helper.make_node("Cast", [f"prefix/standard_{place}"], [f"prefix/number_{place}"], to=TensorProto.FLOAT),
        ]
    for place, name in enumerate(profile.categories):
        inputs.append(helper.make_tensor_value_info(_input_name(name), TensorProto.STRING, ["batch", 1]))
        keys = ["", *profile.levels[name]]
        nodes.append(
            helper.make_node(
                "LabelEncoder",
                [_input_name(name)],
                [f"prefix/code_{place}"],
                domain="ai.onnx.ml",
                keys_strings=keys,
                values_int64s=list(range(1, len(keys) + 1)),
                default_int64=0,
            )
        )
    for group, one, count, kind in (
        ("numbers", "prefix/number", len(profile.numbers), TensorProto.FLOAT),
        ("codes", "prefix/code", len(profile.categories), TensorProto.INT64),
    ):
        if count:
            nodes.append(helper.make_node("Concat", [f"{one}_{i}" for i in range(count)], [f"prefix/{group}"], axis=1))
            outputs.append(helper.make_tensor_value_info(f"prefix/{group}", kind, ["batch", count]))
            io_map.append((f"prefix/{group}", f"core/{group}"))
    prefix = _model(helper.make_graph(nodes, "columns", inputs, outputs, constants))
    return compose.merge_models(prefix, _same_versions(core), io_map=io_map)


def _with_vector(core: onnx.ModelProto, profile: Profile) -> onnx.ModelProto:
    """Put the standardising of a vector before the core."""
    name, length = _input_name(profile.vector or ""), profile.shape[0]
    constants = [
        helper.make_tensor("prefix/means", TensorProto.FLOAT, [length], profile.means),
        helper.make_tensor("prefix/deviations", TensorProto.FLOAT, [length], profile.deviations),
    ]
    nodes = [
        helper.make_node("Sub", [name, "prefix/means"], ["prefix/centred"]),
        helper.make_node("Div", ["prefix/centred", "prefix/deviations"], ["prefix/vector"]),
    ]
    graph = helper.make_graph(
        nodes,
        "vector",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", length])],
        [helper.make_tensor_value_info("prefix/vector", TensorProto.FLOAT, ["batch", length])],
        constants,
    )
    return compose.merge_models(_model(graph), _same_versions(core), io_map=[("prefix/vector", "core/vector")])


def _names(classes: tuple[str, ...]) -> onnx.ModelProto:
    """The suffix: index of a class to its name."""
    node = helper.make_node(
        "LabelEncoder",
        ["suffix/index"],
        ["suffix/label"],
        domain="ai.onnx.ml",
        keys_int64s=list(range(len(classes))),
        values_strings=list(classes),
        default_string="",
    )
    source = helper.make_tensor_value_info("suffix/index", TensorProto.INT64, ["batch"])
    target = helper.make_tensor_value_info("suffix/label", TensorProto.STRING, ["batch"])
    return _model(helper.make_graph([node], "names", [source], [target]))


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    versions = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    return helper.make_model(graph, opset_imports=versions, ir_version=_IR, producer_name="backstay")


def _same_versions(model: onnx.ModelProto) -> onnx.ModelProto:
    del model.opset_import[:]
    model.opset_import.extend([helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)])
    return model


def rename_value(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if n == old else n for n in node.input]
        node.output[:] = [new if n == old else n for n in node.output]
    for value in (*graph.input, *graph.output):
        if value.name == old:
            value.name = new
