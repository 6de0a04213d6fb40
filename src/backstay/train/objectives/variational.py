"""A row is rebuilt from a random point near its embedding: a variational autoencoder. No labels needed.

**Pulls together:** the points of all rows, towards one cloud around 0.
**Pushes apart:** rows whose clouds would be mistaken for each other when they are rebuilt.
**Formula:**

    mu, log s^2 = two linear maps of the embedding z;   u = mu + s * e,   e ~ N(0, 1)
    loss = mean over rows x of  misfit( decode(u), x ) + beta / size * KL
    KL = 1/2 sum over places of ( mu^2 + s^2 - 1 - log s^2 )

The first part is the denoising autoencoder's misfit without the damage, a mean over the `size` numbers of a row; the
second keeps rows from hiding in far corners. With beta = 1 and squared errors this is the negative ELBO of a decoder
with variance 1/2, divided by `size`. What is exported is the unit embedding z in front of the maps, not u: distances
between embeddings are cosines, and the cloud is N(0, 1) only behind the maps.
**Prefer it:** to `denoising` where new rows are to lie between old ones (smooth spaces, odd rows by how badly they
rebuild). Of the objectives that learn from images alone by steps it was the best measured: kNN-20 of 0.848, raw pixels
0.829 (docs/benchmarks.md).
**Wrong:** for search and classes where there are labels, or where the encoder `patches` will do (0.891,
docs/objectives.md). With a large beta all rows become one point (posterior collapse), with a beta of 0 it is a plain
autoencoder. Texts cannot be rebuilt and are refused.
**Cost:** one pass and a decoder of about the encoder's size; O(n) in the batch. Measured: 38.3 ms of CPU time for 256
images of 28 x 28 beside the encoder's, 3.5 for a table (docs/benchmarks.md).
**Source:** Kingma & Welling 2014, arXiv 1312.6114; beta: Higgins et al. 2017 (ICLR).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from backstay.train.decoders import Decoder, decoder_of, mean_of
from backstay.train.network import Network
from backstay.train.objectives.contract import Batch, Objective, Problem
from backstay.train.options import Options
from backstay.train.rebuild import Rebuild

_LEAST, _MOST = -10.0, 5.0


def divergence(mu: Tensor, log_variance: Tensor) -> Tensor:
    """KL of N(mu, s^2) from N(0, 1), summed over the places of each row: [n, d] twice in, [n] out."""
    return 0.5 * (mu.square() + log_variance.exp() - 1.0 - log_variance).sum(dim=1)


class Variational(Objective):
    """The module's formula, with a decoder and two linear maps of its own."""

    needs_labels: ClassVar[bool] = False

    def __init__(self, decoder: Decoder, dimension: int, beta: float, size: int) -> None:
        super().__init__()
        self.decoder = decoder
        self.mu = nn.Linear(dimension, dimension)
        self.log_variance = nn.Linear(dimension, dimension)
        self.beta, self.size = beta, size

    def loss(self, network: Network, batch: Batch) -> Tensor:
        embeddings = network.encoder(*batch.tensors).float()
        scaled = embeddings * embeddings.shape[1] ** 0.5
        mu, log_variance = self.mu(scaled), self.log_variance(scaled).clamp(_LEAST, _MOST)
        noise = torch.randn(mu.shape, generator=batch.generator, device=mu.device)
        told = self.decoder(mu + (0.5 * log_variance).exp() * noise)
        each = self.decoder.misfit(told, batch.tensors) + self.beta / self.size * divergence(mu, log_variance)
        return mean_of(each, batch.weights)

    def rebuild(self) -> Rebuild:
        """From the middle of each row's cloud."""
        return Rebuild(self.decoder, self.mu)


def build(options: Options, problem: Problem) -> Variational:
    """Options: `beta` (weight of the divergence, 0.3)."""
    beta = options.number("beta", 0.3, low=0, high=1000)
    options.done()
    decoder = decoder_of(problem.profile, problem.dimension, "variational")
    return Variational(decoder, problem.dimension, beta, decoder.cells)
