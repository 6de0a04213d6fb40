"""Encoder and head as one module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backstay.settings import TrainSettings
from backstay.train.encoders import ENCODERS
from backstay.train.examples import Profile
from backstay.train.heads import HEADS
from backstay.train.options import Options

_BATCH = 4096


class Network(nn.Module):
    """Rows in; embeddings, calibrated scores and the index of the class out. This is what is exported."""

    def __init__(self, encoder: nn.Module, head: nn.Module, kind: str = "table") -> None:
        super().__init__()
        self.kind = kind
        self.encoder = encoder
        self.head = head

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        embeddings = self.encoder(*tensors)
        scores = self.head.scores(self.head(embeddings))  # type: ignore[operator] # a head of the shelf has `scores`
        return embeddings, scores, scores.argmax(dim=1)


def build(profile: Profile, recipe: TrainSettings, classes: int) -> Network:
    """A fresh network, by torch's global generator."""
    name = profile.encoder if recipe.encoder == "auto" else recipe.encoder
    encoder = ENCODERS[name](profile, recipe.dimension, Options("train.encoder_options", recipe.encoder_options))
    head = HEADS[recipe.head](recipe.dimension, classes, Options("train.head_options", recipe.head_options))
    return Network(encoder, head, profile.kind)


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
