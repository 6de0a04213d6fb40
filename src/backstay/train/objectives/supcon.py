"""Supervised contrastive loss: rows of one class are pulled together, all others pushed apart (Khosla et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from backstay.settings import TrainSettings


def supcon_loss(embeddings: Tensor, labels: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """Mean over anchors of -mean over their positives of log softmax(similarity / temperature).

    Args:
        embeddings: [n, d], of length 1.
        labels: class codes [n]; an anchor alone in its class does not count.
        weights: of each anchor [n].
    """
    own = torch.eye(len(embeddings), dtype=torch.bool)
    similarity = (embeddings @ embeddings.T / temperature).masked_fill(own, float("-inf"))
    log_p = (similarity - torch.logsumexp(similarity, dim=1, keepdim=True)).masked_fill(own, 0.0)
    positive = (labels[:, None] == labels[None, :]) & ~own
    count = positive.sum(dim=1)
    each = -(log_p * positive).sum(dim=1) / count.clamp(min=1)
    share = weights * (count > 0)
    return (each * share).sum() / share.sum().clamp(min=1e-12)


@dataclass(frozen=True)
class SupCon:
    """`supcon_loss` with the recipe's temperature; the head is fitted on the frozen embeddings afterwards."""

    temperature: float
    trains_head: bool = False

    def __call__(self, embeddings: Tensor, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        return supcon_loss(embeddings, labels, weights, self.temperature)


def build(recipe: TrainSettings) -> SupCon:
    return SupCon(recipe.temperature)
