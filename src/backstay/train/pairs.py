"""A loss beside the objective's: pairs of rows that people judged the same or different.

    loss = mean over the pairs of |a - b|^2 where they are the same, of max(0, 1 - |a - b|)^2 where not

a and b are embeddings at length 1. Each step draws as many pairs as its batch has rows, if there are so many. Source:
Hadsell, Chopra & LeCun 2006.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from backstay.train.network import Network
from backstay.train.objectives.contract import Batch, embed_view

MARGIN = 1.0
_SMALL = 1e-12


@dataclass(frozen=True)
class JudgedPairs:
    """Rows of pairs as the encoder takes them: the first of each pair, the second, and whether they are the same [n].

    Args:
        weight: of this loss beside the objective's.
    """

    first: tuple[Tensor, ...]
    second: tuple[Tensor, ...]
    same: Tensor
    weight: float

    @property
    def content(self) -> tuple[Tensor, ...]:
        """All that the pairs are."""
        return (*self.first, *self.second, self.same)

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """The weighted loss of pairs drawn by the batch's generator, which see the same changes as its rows."""
        wanted = min(len(batch), len(self.same))
        device = batch.weights.device
        drawn = torch.randint(len(self.same), (wanted,), generator=batch.generator, device=device).cpu()
        sides = [
            embed_view(network, replace(batch, tensors=tuple(t[drawn].to(device) for t in tensors)))
            for tensors in (self.first, self.second)
        ]
        return self.weight * pair_loss(sides[0], sides[1], self.same[drawn].to(device))


def pair_loss(first: Tensor, second: Tensor, same: Tensor) -> Tensor:
    """The formula above for embeddings [n, d] and truth values [n]."""
    squared = (first - second).square().sum(dim=1)
    # The root has no slope at 0, where two different rows may well be.
    apart = functional.relu(MARGIN - (squared + _SMALL).sqrt()).square()
    return torch.where(same, squared, apart).mean()
