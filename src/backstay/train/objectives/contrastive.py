"""Pairs of one class are pulled together, pairs of two classes pushed apart as far as a margin: a Siamese network.

**Pulls together:** the two rows of a pair of one class, to within `inner`.
**Pushes apart:** the two rows of a pair of two classes, as far as `margin` and no farther.
**Formula:**

    loss = mean over pairs of one class of max(0, |a - b| - inner)
         + mean over pairs of two classes of max(0, margin - |a - b|)

One encoder sees both rows of a pair (the twins share their weights). Each mean is over the pairs that still cost
something; `power = 2` squares each term, as the paper does, and then a pair counts by how wrong it is. `pairs =
"hard"` keeps only each row's farthest partner and nearest stranger. Batches are balanced.
**Prefer it:** where "same or different" is the question itself (verification, duplicates), because distances get a
fixed scale: a threshold between 0 and the margin means the same everywhere.
**Wrong:** where classes spread unequally: one margin is for all; and where only the order of neighbours counts, which
`supcon` and `triplet` ask for directly. Wrong labels weigh fully: with power 2 the worst pairs weigh most.
**Cost:** n rows: n^2 distances, one matrix product. Measured: 3.2 ms of CPU time for 256 rows beside the encoder's
(docs/benchmarks.md).
**Source:** Hadsell, Chopra & LeCun 2006; Siamese networks: Bromley et al. 1993.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from backstay.train.miners import hardest_triplets
from backstay.train.objectives.contract import EmbeddingObjective, Problem
from backstay.train.objectives.triplet import distances_of
from backstay.train.options import Options

PAIRS = ("all", "hard")


def contrastive_loss(
    distances: Tensor,
    same: Tensor,
    different: Tensor,
    weights: Tensor,
    margin: float,
    inner: float = 0.0,
    power: int = 1,
) -> Tensor:
    """The two means of the module's formula, each over the pairs that cost something.

    Args:
        distances: [n, n], with a graph.
        same, different: which pairs [n, n] count as one class and as two.
        weights: of each row [n]; a pair has the product of its two.
    """
    pair = weights[:, None] * weights[None, :]
    pull = _mean((distances - inner).clamp(min=0) ** power, same, pair)
    return pull + _mean((margin - distances).clamp(min=0) ** power, different, pair)


def _mean(cost: Tensor, pairs: Tensor, weights: Tensor) -> Tensor:
    share = weights * (pairs & (cost.detach() > 0))
    return (cost * share).sum() / share.sum().clamp(min=1e-12)


class Contrastive(EmbeddingObjective):
    """`contrastive_loss` of all pairs of the batch, or of each row's hardest."""

    sampler: ClassVar[str] = "balanced"

    def __init__(self, margin: float = 1.0, inner: float = 0.0, power: int = 1, pairs: str = "all") -> None:
        super().__init__()
        self.margin = margin
        self.inner = inner
        self.power = power
        self.pairs = pairs

    def of(self, embeddings: tuple[Tensor, ...], labels: Tensor, weights: Tensor) -> Tensor:
        distances = distances_of(embeddings[0])
        same, different = self._pairs(distances.detach(), labels)
        return contrastive_loss(distances, same, different, weights, self.margin, self.inner, self.power)

    def _pairs(self, distances: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if self.pairs == "hard":
            same = torch.zeros_like(distances, dtype=torch.bool)
            different = same.clone()
            anchors, positives, negatives = hardest_triplets(distances, labels)
            same[anchors, positives] = True
            different[anchors, negatives] = True
            return same, different
        alike = labels[:, None] == labels[None, :]
        return alike & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~alike


def build(options: Options, _: Problem) -> Contrastive:
    """Options: `margin` (1.0), `inner` (0.0), `power` (1 or 2), `pairs` ("all")."""
    margin = options.number("margin", 1.0, low=1e-3, high=2.0)
    inner = options.number("inner", 0.0, low=0.0, high=2.0)
    power = options.whole("power", 1, low=1, high=2)
    pairs = options.choice("pairs", "all", PAIRS)
    options.done()
    return Contrastive(margin, inner, power, pairs)
