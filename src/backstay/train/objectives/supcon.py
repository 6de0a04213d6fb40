"""Rows of one class are pulled together, all others pushed apart, hardest first: supervised contrastive learning.

**Pulls together:** every two rows of one class in the batch, those that lie farthest from each other most.
**Pushes apart:** rows of different classes, the nearest most.
**Formula:**

    loss = mean over rows i, and rows p of i's class, of -log( exp(z_i.z_p / T) / sum over a != i of exp(z_i.z_a / T) )

Every row is compared with every other of its batch. A row alone in its class does not count.
**Prefer it:** where the space itself is to be good: search, nearest neighbours, classes that come later.
Fashion-MNIST, 3 epochs: kNN-20 of 0.921 (0.917 at least), raw pixels 0.842 (docs/benchmarks.md).
**Wrong:** with many classes and small batches, in which rows find no partner: set `train.samples_per_class`. It
presses a class into a point, so where a class has a shape of its own that matters prefer `triplet`. Wrong labels are
pulled together as well.
**Cost:** n rows: n^2 similarities, one matrix product. Measured: 2.8 ms of CPU time for 256 rows beside the encoder's,
where `conv` on pictures of 28 x 28 takes more than ten times as much (docs/benchmarks.md).
**Source:** Khosla et al. 2020, arXiv 2004.11362, equation 2.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from backstay.train.objectives.contract import EmbeddingObjective, Problem
from backstay.train.options import Options


def supcon_loss(embeddings: Tensor, labels: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """Mean over anchors of -mean over their positives of log softmax(similarity / temperature).

    Args:
        embeddings: [n, d], of length 1.
        labels: class codes [n]; an anchor alone in its class does not count.
        weights: of each anchor [n].
    """
    own = torch.eye(len(embeddings), dtype=torch.bool, device=embeddings.device)
    # The lowest number instead of -inf: a batch of one row has nothing else, and its gradient is to be 0, not NaN.
    lowest = torch.finfo(embeddings.dtype).min
    similarity = (embeddings @ embeddings.T / temperature).masked_fill(own, lowest)
    log_p = (similarity - torch.logsumexp(similarity, dim=1, keepdim=True)).masked_fill(own, 0.0)
    positive = (labels[:, None] == labels[None, :]) & ~own
    count = positive.sum(dim=1)
    each = -(log_p * positive).sum(dim=1) / count.clamp(min=1)
    share = weights * (count > 0)
    return (each * share).sum() / share.sum().clamp(min=1e-12)


class SupCon(EmbeddingObjective):
    """`supcon_loss` of one view."""

    needs_partners: ClassVar[bool] = True

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def of(self, embeddings: tuple[Tensor, ...], labels: Tensor, weights: Tensor) -> Tensor:
        return supcon_loss(embeddings[0], labels, weights, self.temperature)


def build(options: Options, _: Problem) -> SupCon:
    """Options: `temperature` (train.temperature)."""
    temperature = options.number("temperature", 0.1, low=1e-3)
    options.done()
    return SupCon(temperature)
