"""Encoder and head as one module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backstay.settings import TrainSettings
from backstay.train.encoders import ENCODERS
from backstay.train.encoders.conv import ConvEncoder
from backstay.train.examples import Profile
from backstay.train.heads import HEADS
from backstay.train.heads.anomaly import AnomalyHead
from backstay.train.options import Options
from backstay.train.rebuild import Rebuild

_BATCH = 4096


class Network(nn.Module):
    """Rows in; embeddings, calibrated scores and the index of the class out. This is what is exported.

    `rebuild`: where rows are rebuilt from embeddings for other ends than learning, the objective's decoder.
    `half_precision`: in training, the encoder computes in bfloat16 on a CPU too; weights and answers have float32.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, kind: str = "table") -> None:
        super().__init__()
        self.kind = kind
        self.frozen = False
        self.half_precision = False
        self.encoder = encoder
        self.head = head
        self.rebuild: Rebuild | None = None

    def freeze(self) -> None:
        """From now on the encoder stays as it is: no gradient, no dropout, no statistics of batches."""
        self.frozen = True
        self.encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> Network:
        """As torch's; a frozen encoder is never in training."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        embeddings = self.encoder(*tensors)
        scores = self.head.scores(self.told(embeddings, tensors))  # type: ignore[operator] # a head of the shelf has `scores`
        if isinstance(self.head, AnomalyHead):
            return embeddings, scores, self.head.chosen(scores)
        return embeddings, scores, scores.argmax(dim=1)

    def told(self, embeddings: Tensor, tensors: tuple[Tensor, ...]) -> Tensor:
        """What the head makes of rows, before calibration: of their embeddings, or of how badly they are rebuilt."""
        if self.rebuild is not None and isinstance(self.head, AnomalyHead) and self.head.by_rebuilding:
            embeddings = self.rebuild.misfit(embeddings, tensors)
        told: Tensor = self.head(embeddings)
        return told


def build(profile: Profile, recipe: TrainSettings, classes: int) -> Network:
    """A fresh network, by torch's global generator."""
    name = profile.encoder if recipe.encoder == "auto" else recipe.encoder
    encoder = ENCODERS[name](profile, recipe.dimension, Options("train.encoder_options", recipe.encoder_options))
    head = HEADS[recipe.head](recipe.dimension, classes, Options("train.head_options", recipe.head_options))
    # Codes of somebody else's tokenizer are left as they are: it has signs of its own.
    network = Network(encoder, head, "codes" if profile.weights else profile.kind)
    network.half_precision = recipe.half
    return network


@torch.no_grad()
def embed(network: Network, tensors: tuple[Tensor, ...]) -> Tensor:
    """Embeddings of all rows on the CPU, without dropout or batch statistics."""
    network.eval()
    device = next(network.parameters()).device
    parts = [
        network.encoder(*(t[start : start + _BATCH].to(device) for t in tensors)).cpu()
        for start in range(0, len(tensors[0]), _BATCH)
    ]
    return torch.cat(parts)


def glanced(network: Network, tensors: tuple[Tensor, ...]) -> Tensor:
    """As `embed`, by one look where the encoder answers by several: cheaper, for figures between epochs."""
    encoder = network.encoder
    if not isinstance(encoder, ConvEncoder):
        return embed(network, tensors)
    encoder.glancing = True
    try:
        return embed(network, tensors)
    finally:
        encoder.glancing = False


@torch.no_grad()
def told(network: Network, embeddings: Tensor, tensors: tuple[Tensor, ...]) -> Tensor:
    """What the head makes of all rows, before calibration."""
    size = _BATCH if network.rebuild is not None else max(len(embeddings), 1)
    parts = [
        network.told(embeddings[start : start + size], tuple(t[start : start + size] for t in tensors))
        for start in range(0, len(embeddings), size)
    ]
    return torch.cat(parts)
