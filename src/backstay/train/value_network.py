"""An encoder with one number at its end: what is minimised, the head, and the graph that answers in its unit."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from backstay.bundle.manifest import InputSpec, OutputSpec
from backstay.kernel.errors import BackstayError
from backstay.settings import TrainSettings
from backstay.train.direct_epochs import Loss
from backstay.train.encoders import ENCODERS
from backstay.train.examples import Profile
from backstay.train.export import core_graph, input_specs, rename_value
from backstay.train.network import Network
from backstay.train.options import Options
from backstay.train.values import Scale, value_output

HEAD = "value"
_SCALE = 4.0


class ValueHead(nn.Module):
    """A weighted sum of an embedding [rows, 1], in standard deviations of the target."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dimension, 1)
        with torch.no_grad():
            # Embeddings have unit length: small weights would answer the mean for long.
            self.linear.weight.mul_(_SCALE)
            self.linear.bias.zero_()

    def forward(self, embeddings: Tensor) -> Tensor:
        found: Tensor = self.linear(embeddings)
        return found

    def scores(self, values: Tensor) -> Tensor:
        """The values as they are."""
        return values


def build_value(profile: Profile, recipe: TrainSettings) -> Network:
    """A fresh network. Raises BackstayError for a head that speaks of classes."""
    if recipe.head != HEAD:
        raise BackstayError(
            f"train.head = {recipe.head!r} answers classes, and the target is a number",
            fix=f'set train.head = "{HEAD}", or take it out',
        )
    Options("train.head_options", recipe.head_options).done()
    name = profile.encoder if recipe.encoder == "auto" else recipe.encoder
    encoder = ENCODERS[name](profile, recipe.dimension, Options("train.encoder_options", recipe.encoder_options))
    network = Network(encoder, ValueHead(recipe.dimension), "codes" if profile.weights else profile.kind)
    network.half_precision = recipe.half
    return network


def loss_of(recipe: TrainSettings) -> Loss:
    """What is minimised, of values and truths in standard deviations.

    squared: (v - y)^2, which aims at the mean. huber: squared up to `delta` (1), straight beyond, so that few wild
    targets do not rule (Huber 1964). Raises BackstayError for an objective that speaks of classes.
    """
    options = Options("train.objective_options", recipe.objective_options)
    if recipe.objective == "squared":
        options.done()
        return lambda values, truth: functional.mse_loss(values, truth, reduction="none")
    if recipe.objective == "huber":
        delta = options.number("delta", 1.0, low=1e-3, high=100)
        options.done()
        return lambda values, truth: functional.huber_loss(values, truth, reduction="none", delta=delta)
    raise BackstayError(
        f"train.objective = {recipe.objective!r} learns classes, and the target is a number",
        fix='set train.objective = "huber" or "squared"',
    )


def export_value(
    network: Network, profile: Profile, example: tuple[Tensor, ...], scale: Scale
) -> tuple[bytes, tuple[InputSpec, ...], tuple[OutputSpec, ...]]:
    """Bytes, inputs and outputs: the number in the target's unit, and the embedding. `example` has 2 rows or more."""
    whole = core_graph(network, profile, example)
    graph, output = whole.graph, value_output(profile)
    rename_value(graph, "core/out_embedding", "embedding")
    for name, value in (("value/spread", np.array(scale.spread)), ("value/centre", np.array(scale.centre))):
        graph.initializer.append(numpy_helper.from_array(value, name))
    graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), "value/flat"))
    graph.node.extend(
        [
            helper.make_node("Cast", ["core/out_scores"], ["value/double"], to=TensorProto.DOUBLE),
            helper.make_node("Mul", ["value/double", "value/spread"], ["value/scaled"]),
            helper.make_node("Add", ["value/scaled", "value/centre"], ["value/moved"]),
            helper.make_node("Reshape", ["value/moved", "value/flat"], [output.name]),
        ]
    )
    embedding = next(o for o in graph.output if o.name == "embedding")
    dimension = embedding.type.tensor_type.shape.dim[1].dim_value
    kept = [helper.make_tensor_value_info(output.name, TensorProto.DOUBLE, ["batch"]), embedding]
    del graph.output[:]
    graph.output.extend(kept)
    onnx.checker.check_model(whole, full_check=True)
    specs = (output, OutputSpec("embedding", "FP32", (-1, dimension), "embedding"))
    return whole.SerializeToString(deterministic=True), input_specs(profile), specs
