"""Each class has a centre on the sphere; a row is to be nearer to its own than to any other by an angle: ArcFace.

**Pulls together:** a row and the centre of its class, until the angle between them is smaller by the margin than it
need be.
**Pushes apart:** a row and the centres of all other classes; rows are never compared with each other.
**Formula:**

    loss = mean of -log( exp(s cos(t_y + m)) / (exp(s cos(t_y + m)) + sum over k != y of exp(s cos t_k)) )

t_k is the angle between a row and the centre of class k, m the margin in radians, s the scale. Where t_y + m would
pass 180 degrees, cos t_y - m sin m stands in, so that the loss goes on rising. The centres are learned beside the
encoder and thrown away; the head is fitted on frozen embeddings afterwards.
**Prefer it:** with very many classes, of which a batch holds few rows each: it needs no partners in the batch and no
miner.
**Wrong:** where classes are several clouds, for each has one centre; and for classes that nobody has trained on
`prototypical` was better (Omniglot, one look: 0.827 to 0.738 with the same encoder, docs/objectives.md). The paper's
scale of 64 is for tens of thousands of classes; 16 suits tens.
**Cost:** n rows and k classes: n k products, nothing that grows with the square of the batch. Measured: 1.9 ms of CPU
time for 256 rows of 32 classes beside the encoder's (docs/benchmarks.md).
**Source:** Deng et al. 2019, arXiv 1801.07698.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.train.objectives.contract import EmbeddingObjective, Problem
from backstay.train.options import Options

_NEARLY_ONE = 1.0 - 1e-6


def arcface_loss(
    embeddings: Tensor, centres: Tensor, labels: Tensor, weights: Tensor, margin: float, scale: float
) -> Tensor:
    """The module's formula; unit embeddings [n, d], centres [k, d] of any length, class codes [n], weights [n]."""
    cosines = embeddings @ functional.normalize(centres, dim=1).T
    own = cosines.gather(1, labels[:, None])
    # The sine's slope is infinite where a row stands on its centre.
    own = own.clamp(-_NEARLY_ONE, _NEARLY_ONE)
    moved = own * math.cos(margin) - (1.0 - own.square()).sqrt() * math.sin(margin)
    target = torch.where(own >= math.cos(math.pi - margin), moved, own - margin * math.sin(margin))
    logits = scale * cosines.scatter(1, labels[:, None], target)
    each = functional.cross_entropy(logits, labels, reduction="none")
    return (each * weights).sum() / weights.sum().clamp(min=1e-12)


class ArcFace(EmbeddingObjective):
    """`arcface_loss` with centres of its own."""

    sampler: ClassVar[str] = "shuffled"

    def __init__(self, dimension: int, classes: int, margin: float, scale: float) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(classes, dimension))
        self.margin = margin
        self.scale = scale

    def of(self, embeddings: tuple[Tensor, ...], labels: Tensor, weights: Tensor) -> Tensor:
        return arcface_loss(embeddings[0], self.centres, labels, weights, self.margin, self.scale)


def build(options: Options, problem: Problem) -> ArcFace:
    """Options: `margin` in radians (0.3), `scale` (16)."""
    margin = options.number("margin", 0.3, low=0.0, high=1.5)
    scale = options.number("scale", 16.0, low=1.0, high=256.0)
    options.done()
    return ArcFace(problem.dimension, problem.classes, margin, scale)
