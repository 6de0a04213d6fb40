"""A row is rebuilt from the embedding of a damaged copy: a denoising autoencoder. No labels needed.

    loss = mean over rows x of misfit( decode(embed(damaged x)), x )
    misfit = mean squared error of standardised pixels or numbers, cross-entropy of categories

Pulls nothing together and pushes nothing apart: the embedding is to keep all that is needed to draw the row, and to
leave out the damage. A share of an image's pixels (`hidden`) is blanked, and the rest given noise with a deviation of
25 of 255 times `train.augmentation`; it is not moved, for the decoder could not know from where. In tables and vectors
a share of the features comes from other rows. When to prefer it: no labels, few rows, or as a plain yardstick for the
other objectives without labels; rows that rebuild badly are odd ones. When it is wrong: where classes differ by a
detail that takes few pixels, for a squared error looks at area. A damage of 0 teaches copying. Cost: one pass and a
decoder of about the encoder's size. Source: Vincent et al. 2008, Extracting and Composing Robust Features with
Denoising Autoencoders (ICML).
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
