"""A row is to be nearer to one of its class than to one of another, by a margin.

**Pulls together:** an anchor a and a positive p, a row of its class.
**Pushes apart:** the anchor and a negative n, a row of another class, until the order is right by the margin, and no
further: unlike `supcon` it does not press a class into a point.
**Formula:**

    loss = mean over triplets of max(0, |a - p| - |a - n| + margin)

`mining` says which triplets of a batch; batches are balanced, so that every row has partners:

- `semi_hard` (default): for every pair of a class, the nearest negative that is farther than the positive, or the
  farthest of all where none is (Schroff et al. 2015, FaceNet).
- `semi_hard_all`: every negative between the positive and the margin beyond it.
- `hard`: the farthest positive and the nearest negative of each anchor (Hermans et al. 2017).
- `all`: every triplet; those that satisfy the margin are left out of the mean.

**Prefer it:** where classes have shapes of their own, or where the order of distances is all that counts.
Fashion-MNIST, 3 epochs, semi-hard: kNN-20 of 0.913 (0.909 at least; docs/benchmarks.md).
**Wrong:** for a threshold on distances, which have no fixed scale (`contrastive`). `hard` collapses most easily: a
loss that stands at the margin is the sign of it, and stops the run; it also learns first from wrong labels, which look
hardest.
**Cost:** n rows: `semi_hard` n^2 log n, `hard` n^2, the others up to n^3. Measured for 256 rows of 32 classes, in ms
of CPU time beside the encoder's: `semi_hard` 7.5, `hard` 3.2, `semi_hard_all` 12.6 (docs/benchmarks.md).
**Source:** Schroff et al. 2015, arXiv 1503.03832; Hermans et al. 2017, arXiv 1703.07737.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from backstay.train.miners import (
    Triplets,
    all_triplets,
    hardest_triplets,
    nearest_semi_hard_triplets,
    semi_hard_triplets,
)
from backstay.train.objectives.contract import EmbeddingObjective, Problem
from backstay.train.options import Options

MINING = ("semi_hard", "semi_hard_all", "hard", "all")
_LEAST_SQUARE = 1e-12


def distances_of(embeddings: Tensor) -> Tensor:
    """Euclidean distances [n, n] of unit embeddings, by one matrix product; the gradient is finite at 0."""
    squares = 2.0 - 2.0 * (embeddings @ embeddings.T)
    return squares.clamp(min=_LEAST_SQUARE).sqrt()


def triplet_loss(distances: Tensor, triplets: Triplets, weights: Tensor, margin: float) -> Tensor:
    """Mean of max(0, d(a, p) - d(a, n) + margin) over the triplets where it is above 0, weighted by the anchor.

    Args:
        distances: [n, n], with a graph.
        triplets: row numbers of anchors, positives and negatives; none at all gives 0.
        weights: of each row [n].
    """
    anchors, positives, negatives = triplets
    each = (distances[anchors, positives] - distances[anchors, negatives] + margin).clamp(min=0)
    share = weights[anchors] * (each.detach() > 0)
    return (each * share).sum() / share.sum().clamp(min=_LEAST_SQUARE)


class Triplet(EmbeddingObjective):
    """`triplet_loss` over what the miner finds in the batch."""

    sampler: ClassVar[str] = "balanced"

    def __init__(self, mining: str = "semi_hard", margin: float = 0.2) -> None:
        super().__init__()
        self.mining = mining
        self.margin = margin

    def of(self, embeddings: tuple[Tensor, ...], labels: Tensor, weights: Tensor) -> Tensor:
        distances = distances_of(embeddings[0])
        return triplet_loss(distances, self._mine(distances.detach(), labels), weights, self.margin)

    def collapsed_loss(self) -> float:
        return self.margin

    @torch.no_grad()
    def _mine(self, distances: Tensor, labels: Tensor) -> Triplets:
        if self.mining == "all":
            return all_triplets(labels)
        if self.mining == "hard":
            return hardest_triplets(distances, labels)
        if self.mining == "semi_hard_all":
            return semi_hard_triplets(distances, labels, self.margin)
        return nearest_semi_hard_triplets(distances, labels)


def build(options: Options, _: Problem) -> Triplet:
    """Options: `mining` ("semi_hard"), `margin` (0.2)."""
    mining = options.choice("mining", "semi_hard", MINING)
    margin = options.number("margin", 0.2, low=1e-3, high=2.0)
    options.done()
    return Triplet(mining, margin)
