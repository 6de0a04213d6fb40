"""A row is rebuilt from the embedding of a damaged copy: a denoising autoencoder. No labels needed.

**Pulls together:** nothing by itself: the embedding is to keep all that is needed to draw the row, and to leave out
the damage, so that copies damaged otherwise come to lie near each other.
**Pushes apart:** nothing: rows lie apart as far as telling them apart is needed to draw them.
**Formula:**

    loss = mean over rows x of misfit( decode(embed(damaged x)), x )
    misfit = mean squared error of standardised pixels or numbers, cross-entropy of categories

A share of an image's pixels (`hidden`) is blanked, and the rest given noise with a deviation of 25 of 255 times
`train.augmentation`; it is not moved, for the decoder could not know from where. In tables and vectors a share of the
features comes from other rows.
**Prefer it:** without labels, with few rows, or as a plain yardstick for the other objectives without labels; rows
that rebuild badly are odd ones (docs/anomalies.md), and gaps and noise are taken out of images (docs/images.md).
**Wrong:** where classes differ by a detail that takes few pixels, for a squared error looks at area. A damage of 0
teaches copying. Eight epochs of 20,000 images had a kNN-20 of 0.831, no better than raw pixels (0.829;
docs/benchmarks.md). Texts cannot be rebuilt and are refused.
**Cost:** one pass and a decoder of about the encoder's size; O(n) in the batch. Measured: 38.3 ms of CPU time for 256
images of 28 x 28 beside the encoder's, 2.8 for a table (docs/benchmarks.md).
**Source:** Vincent et al. 2008, Extracting and Composing Robust Features with Denoising Autoencoders (ICML).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from backstay.train.augmentations.rows import corrupt
from backstay.train.decoders import Decoder, decoder_of, mean_of
from backstay.train.network import Network
from backstay.train.objectives.contract import Batch, Objective, Problem
from backstay.train.options import Options
from backstay.train.rebuild import Rebuild

_NOISE = 25.0


class Denoising(Objective):
    """`decoder.misfit` of what the decoder makes of a damaged row's embedding."""

    needs_labels: ClassVar[bool] = False

    def __init__(self, decoder: Decoder, hidden: float) -> None:
        super().__init__()
        self.decoder = decoder
        self.hidden = hidden

    def loss(self, network: Network, batch: Batch) -> Tensor:
        embeddings = network.encoder(*damaged(batch, self.hidden))
        told = self.decoder(embeddings.float() * embeddings.shape[1] ** 0.5)
        return mean_of(self.decoder.misfit(told, batch.tensors), batch.weights)

    def rebuild(self) -> Rebuild:
        return Rebuild(self.decoder, nn.Identity())


def damaged(batch: Batch, share: float) -> tuple[Tensor, ...]:
    """A damaged copy: of images one with noise and black pixels, of the rest one with features of other rows."""
    if batch.tensors[0].dim() != 4:
        return corrupt(batch.tensors, share, batch.generator)[0]
    pixels = batch.tensors[0].float()
    chance = torch.rand(pixels.shape[:3], generator=batch.generator, device=pixels.device)
    noise = torch.randn(pixels.shape, generator=batch.generator, device=pixels.device)
    noisy = (pixels + _NOISE * batch.strength * noise).clamp(0, 255)
    return (noisy.masked_fill((chance < share)[..., None], 0.0),)


def build(options: Options, problem: Problem) -> Denoising:
    """Options: `hidden` (share of pixels or features that are damaged, 0.3)."""
    hidden = options.number("hidden", 0.3, low=0, high=0.9)
    options.done()
    return Denoising(decoder_of(problem.profile, problem.dimension, "denoising"), hidden)
