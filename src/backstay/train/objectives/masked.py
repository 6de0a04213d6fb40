"""Which features of a row were taken from another row, and what were they? VIME-like. No labels needed.

**Pulls together:** nothing by itself: a row and its damaged copies come to lie near each other as far as both tell the
same values.
**Pushes apart:** nothing: rows lie apart as far as their values and what goes with what demand.
**Formula:**

    x' = x, with each feature, by the chance `corruption`, taken from another row of the batch;  m = where it differs
    loss = mean over rows of  alpha * misfit( decode(embed(x')), x ) + mean over features of cross-entropy( mask, m )

Both are told from the embedding of the damaged row alone. To name the false features, the encoder must know what goes
with what; to mend them, it must keep the rest.
**Prefer it:** to `scarf` with small batches, or where columns matter each by themselves. For tables and vectors only.
**Wrong:** with few columns, or columns that say nothing of each other: then nothing shows which are false. Published
gains of VIME on Adult were not reproduced by others; on a split of Adult's training rows with 1% of the labels it had
0.808, logistic regression 0.824 (docs/objectives.md): look at the controls of the report.
**Cost:** one pass and two decoders of one hidden layer; O(n) in the batch. Measured: 3.7 ms of CPU time for 256 rows
beside the encoder's (docs/benchmarks.md).
**Source:** Yoon, Zhang, Jordon & van der Schaar 2020, VIME (NeurIPS).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.train.augmentations.rows import corrupt
from backstay.train.decoders import Decoder, decoder_of, mean_of, only_tables
from backstay.train.network import Network
from backstay.train.objectives.contract import Batch, Objective, Problem
from backstay.train.options import Options

_HIDDEN = 64


def differs(changed: tuple[Tensor, ...], tensors: tuple[Tensor, ...]) -> Tensor:
    """1 where a value is another one now, float [n, columns]; two gaps are the same."""
    parts = [
        (new != old) & ~(torch.isnan(new) & torch.isnan(old)) if new.is_floating_point() else new != old
        for new, old in zip(changed, tensors, strict=True)
    ]
    return torch.cat(parts, dim=1).float()


def mask_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy of a row's features, a mean over them: [n, columns] twice in, [n] out."""
    return functional.binary_cross_entropy_with_logits(logits, mask, reduction="none").mean(dim=1)


class Masked(Objective):
    """The module's formula, with a decoder of values and one of the mask."""

    needs_labels: ClassVar[bool] = False

    def __init__(self, decoder: Decoder, dimension: int, columns: int, corruption: float, alpha: float) -> None:
        super().__init__()
        self.decoder = decoder
        self.mask = nn.Sequential(nn.Linear(dimension, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, columns))
        self.corruption, self.alpha = corruption, alpha

    def loss(self, network: Network, batch: Batch) -> Tensor:
        changed = corrupt(batch.tensors, self.corruption, batch.generator)[0]
        embeddings = network.encoder(*changed).float()
        codes = embeddings * embeddings.shape[1] ** 0.5
        values = self.decoder.misfit(self.decoder(codes), batch.tensors)
        each = self.alpha * values + mask_loss(self.mask(codes), differs(changed, batch.tensors))
        return mean_of(each, batch.weights)


def build(options: Options, problem: Problem) -> Masked:
    """Options: `corruption` (0.3), `alpha` (weight of the values, 2)."""
    only_tables(problem.profile, "masked")
    corruption = options.number("corruption", 0.3, low=0, high=0.9)
    alpha = options.number("alpha", 2.0, low=0, high=1000)
    options.done()
    decoder = decoder_of(problem.profile, problem.dimension, "masked")
    profile = problem.profile
    columns = profile.shape[0] if profile.vector else len(profile.numbers) + len(profile.categories)
    return Masked(decoder, problem.dimension, columns, corruption, alpha)
