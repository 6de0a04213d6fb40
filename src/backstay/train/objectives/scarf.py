"""A row of a table and a copy with features of other rows are to be each other's nearest: SCARF. No labels needed.

**Pulls together:** a row and its corrupted copy.
**Pushes apart:** a row and the copies of the other rows of the batch.
**Formula:**

    x' = x, with each feature, by the chance `corruption`, taken from another row of the batch
    loss = mean over rows of -log( exp(z_i.z'_i / T) / sum over k of exp(z_i.z'_k / T) ),  z = unit g(embedding)

To find its copy, the encoder must learn which features go together. g has a hidden layer and is thrown away after
training.
**Prefer it:** for tables with many rows and labels for few of them. For tables and vectors only.
**Wrong:** with few columns, or columns that say nothing of each other: a copy is then another row. A linear model on
the raw columns often does better: on Adult with 1% of the labels `scarf` and a linear head had 0.821, logistic
regression 0.827, and behind the control `raw_linear` it was by 0.012 (docs/benchmarks.md): look at the controls of the
report.
**Cost:** two passes of the encoder and n^2 similarities. Measured: 3.5 ms of CPU time for 256 rows beside the
encoder's (docs/benchmarks.md).
**Source:** Bahri, Jiang, Tay & Metzler 2022, arXiv 2106.15147 (there `corruption` is 0.6 and T is 1).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from backstay.train.augmentations.rows import corrupt
from backstay.train.decoders import mean_of, only_tables
from backstay.train.network import Network
from backstay.train.objectives.contract import Batch, Objective, Problem, encode
from backstay.train.objectives.nt_xent import projection
from backstay.train.options import Options


def info_nce_loss(one: Tensor, two: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """The module's formula for unit views [n, d]; weights of each row [n]."""
    own = torch.arange(len(one), device=one.device)
    each = functional.cross_entropy(one @ two.T / temperature, own, reduction="none")
    return mean_of(each, weights)


class Scarf(Objective):
    """`info_nce_loss` of rows and their corrupted copies, behind a projection of its own."""

    needs_labels: ClassVar[bool] = False

    def __init__(self, dimension: int, corruption: float, temperature: float) -> None:
        super().__init__()
        self.projection = projection(dimension, dimension, dimension)
        self.corruption, self.temperature = corruption, temperature

    def loss(self, network: Network, batch: Batch) -> Tensor:
        changed = corrupt(batch.tensors, self.corruption, batch.generator)[0]
        one, two = (self._projected(network, rows) for rows in (batch.tensors, changed))
        return info_nce_loss(one, two, batch.weights, self.temperature)

    def _projected(self, network: Network, tensors: tuple[Tensor, ...]) -> Tensor:
        embeddings = encode(network, *tensors)
        return functional.normalize(self.projection(embeddings * embeddings.shape[1] ** 0.5), dim=1)


def build(options: Options, problem: Problem) -> Scarf:
    """Options: `corruption` (0.6), `temperature` (train.temperature)."""
    only_tables(problem.profile, "scarf")
    corruption = options.number("corruption", 0.6, low=0, high=0.9)
    temperature = options.number("temperature", 0.1, low=1e-3)
    options.done()
    return Scarf(problem.dimension, corruption, temperature)
