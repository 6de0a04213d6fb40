"""Encoder and head as one module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backstay.train.encoders import ENCODERS
from backstay.train.examples import Profile
from backstay.train.heads import HEADS

_BATCH = 4096


class Network(nn.Module):
    """Rows in; embeddings, calibrated scores and the index of the class out. This is what is exported."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        embeddings = self.encoder(*tensors)
        scores = self.head.scores(self.head(embeddings))  # type: ignore[operator] # a head of the shelf has `scores`
        return embeddings, scores, scores.argmax(dim=1)


def build(profile: Profile, encoder: str, dimension: int, classes: int) -> Network:
    """A fresh network, by torch's global generator."""
    name = profile.encoder if encoder == "auto" else encoder
    return Network(ENCODERS[name](profile, dimension), HEADS["linear"](dimension, classes))


@torch.no_grad()
def embed(network: Network, tensors: tuple[Tensor, ...]) -> Tensor:
    """Embeddings of all rows, without dropout or batch statistics."""
    network.eval()
    parts = [
        network.encoder(*(t[start : start + _BATCH] for t in tensors)) for start in range(0, len(tensors[0]), _BATCH)
    ]
    return torch.cat(parts)
