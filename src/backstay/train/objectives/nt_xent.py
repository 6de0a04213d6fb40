"""Two random copies of a row are pulled together, copies of other rows pushed apart: SimCLR. No labels needed.

**Pulls together:** the two augmented copies of one row.
**Pushes apart:** copies of different rows of the batch, the nearest most, be they of one class or not.
**Formula:**

    loss = mean over the 2n copies i, with partner j, of -log( exp(z_i.z_j / T) / sum over a != i of exp(z_i.z_a / T) )

z are unit vectors behind a small projection (two layers) that is thrown away after training: what the loss must
forget, such as where the picture was cut, is forgotten there and not in the embedding. What counts as the same row is
what the augmentation does, so it decides what is learned (`train.augmentation`).
**Prefer it:** for images with few or no labels and many rows; batches of 256 or more (`train.cached_rows` where memory
is short).
**Wrong:** in short runs: eight epochs of 20,000 images had a kNN-20 of 0.815, below raw pixels (0.829), and the usual
policy refuses it (docs/benchmarks.md); look at the controls. Where the augmentation changes what a row means, or with
few classes in large batches: then much that is pushed apart is alike.
**Cost:** two passes of the encoder and (2n)^2 similarities. Measured: 19.5 ms of CPU time for 256 images of 28 x 28
beside the encoder's two passes, nearly all of it the making of copies; 6.3 for a table (docs/benchmarks.md).
**Source:** Chen et al. 2020, arXiv 2002.05709.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.train.objectives.contract import EmbeddingObjective, Problem
from backstay.train.options import Options


def nt_xent_loss(one: Tensor, two: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """The module's formula; both views [n, d] of length 1, weights [n] of each row."""
    n = len(one)
    both = torch.cat([one, two])
    own = torch.eye(2 * n, dtype=torch.bool, device=both.device)
    similarity = (both @ both.T / temperature).masked_fill(own, torch.finfo(both.dtype).min)
    partner = torch.arange(2 * n, device=both.device).roll(n)
    each = functional.cross_entropy(similarity, partner, reduction="none")
    share = weights.repeat(2)
    return (each * share).sum() / share.sum().clamp(min=1e-12)


def projection(dimension: int, hidden: int, out: int) -> nn.Sequential:
    """Two layers between the embedding and the loss."""
    return nn.Sequential(nn.Linear(dimension, hidden), nn.ReLU(), nn.Linear(hidden, out))


class NTXent(EmbeddingObjective):
    """`nt_xent_loss` of two views behind a projection of its own; a width of 0 leaves the projection out."""

    views: ClassVar[int] = 2
    needs_labels: ClassVar[bool] = False

    def __init__(self, temperature: float, dimension: int, width: int) -> None:
        super().__init__()
        self.temperature = temperature
        self.projection = projection(dimension, width, dimension) if width else nn.Identity()

    def of(self, embeddings: tuple[Tensor, ...], labels: Tensor, weights: Tensor) -> Tensor:
        scale = embeddings[0].shape[1] ** 0.5
        one, two = (functional.normalize(self.projection(scale * z), dim=1) for z in embeddings)
        return nt_xent_loss(one, two, weights, self.temperature)


def build(options: Options, problem: Problem) -> NTXent:
    """Options: `temperature` (train.temperature), `projection` (width of its hidden layer, 128; 0 for none)."""
    temperature = options.number("temperature", 0.1, low=1e-3)
    width = options.whole("projection", 128, low=0, high=8192)
    options.done()
    return NTXent(temperature, problem.dimension, width)
