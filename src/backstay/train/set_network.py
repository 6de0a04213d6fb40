"""An encoder with one logistic unit a label at its end: the loss, the head, and the graph that answers sets."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from backstay.bundle.manifest import InputSpec, OutputSpec
from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray
from backstay.settings import TrainSettings
from backstay.train.direct_epochs import Loss
from backstay.train.encoders import ENCODERS
from backstay.train.examples import Profile
from backstay.train.export import core_graph, input_specs, rename_value
from backstay.train.network import Network
from backstay.train.options import Options
from backstay.train.sets import members_name

HEAD = "labels"
OBJECTIVE = "binary_cross_entropy"
_SCALE = 8.0
_TINY = 1e-3


class LabelsHead(nn.Module):
    """Logits [rows, labels] of an embedding, each label on its own; it begins at the labels' shares."""

    def __init__(self, dimension: int, shares: FloatArray) -> None:
        super().__init__()
        self.linear = nn.Linear(dimension, len(shares))
        held = torch.from_numpy(shares).float().clamp(_TINY, 1.0 - _TINY)
        with torch.no_grad():
            # Embeddings have unit length: small weights could not be sure of anything for long.
            self.linear.weight.mul_(_SCALE)
            self.linear.bias.copy_(torch.logit(held))

    def forward(self, embeddings: Tensor) -> Tensor:
        logits: Tensor = self.linear(embeddings)
        return logits

    def scores(self, logits: Tensor) -> Tensor:
        """The chance of each label [rows, labels]; a row's do not sum to 1."""
        return torch.sigmoid(logits)


def build_sets(profile: Profile, recipe: TrainSettings, shares: FloatArray) -> Network:
    """A fresh network. `shares` of the training rows have each label. Raises BackstayError for another head."""
    if recipe.head != HEAD:
        raise BackstayError(
            f"train.head = {recipe.head!r} answers one class, and the target is a set of labels",
            fix=f'set train.head = "{HEAD}", or take it out',
        )
    Options("train.head_options", recipe.head_options).done()
    name = profile.encoder if recipe.encoder == "auto" else recipe.encoder
    encoder = ENCODERS[name](profile, recipe.dimension, Options("train.encoder_options", recipe.encoder_options))
    network = Network(encoder, LabelsHead(recipe.dimension, shares), "codes" if profile.weights else profile.kind)
    network.half_precision = recipe.half
    return network


def loss_of(recipe: TrainSettings) -> Loss:
    """Binary cross-entropy: of each label the logarithm of the chance that was given to what is true of it.

    Raises BackstayError for another objective.
    """
    if recipe.objective != OBJECTIVE:
        raise BackstayError(
            f"train.objective = {recipe.objective!r} learns one class a row, and the target is a set of labels",
            fix=f'set train.objective = "{OBJECTIVE}", or take it out',
        )
    Options("train.objective_options", recipe.objective_options).done()
    return lambda logits, truth: functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")


def export_sets(
    network: Network, profile: Profile, example: tuple[Tensor, ...], thresholds: FloatArray
) -> tuple[bytes, tuple[InputSpec, ...], tuple[OutputSpec, ...]]:
    """Bytes, inputs and outputs: which labels are in the set, the chance of each, and the embedding.

    Args:
        example: 2 rows or more. thresholds: the score from which on a label is said [labels].
    """
    whole = core_graph(network, profile, example)
    graph, labels, name = whole.graph, len(thresholds), members_name(profile)
    for old, new in (("core/out_embedding", "embedding"), ("core/out_scores", "scores")):
        rename_value(graph, old, new)
    graph.initializer.append(numpy_helper.from_array(thresholds.astype(np.float32), "sets/thresholds"))
    graph.node.append(helper.make_node("GreaterOrEqual", ["scores", "sets/thresholds"], [name]))
    by_name = {o.name: o for o in graph.output}
    said = helper.make_tensor_value_info(name, TensorProto.BOOL, ["batch", labels])
    kept = [said, by_name["scores"], by_name["embedding"]]
    del graph.output[:]
    graph.output.extend(kept)
    onnx.checker.check_model(whole, full_check=True)
    dimension = by_name["embedding"].type.tensor_type.shape.dim[1].dim_value
    specs = (
        OutputSpec(name, "BOOL", (-1, labels), "members"),
        OutputSpec("scores", "FP32", (-1, labels), "scores"),
        OutputSpec("embedding", "FP32", (-1, dimension), "embedding"),
    )
    return whole.SerializeToString(deterministic=True), input_specs(profile), specs
