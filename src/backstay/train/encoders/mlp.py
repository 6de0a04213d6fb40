"""An encoder for tables: numbers with missing indicators, an embedding a category, two hidden layers of 128.

A number x becomes two: (x - m) / s, clipped at 10, with m and s of the training rows, and 1 where it is missing. A
category of n values becomes an embedding of 1 + sqrt(n) numbers, at most 16; that of "unseen" is trained by hiding
values now and then.
**Prefer it:** first, where a table needs an embedding (neighbours, search, a space to watch).
**Wrong:** where only the class counts: boosted trees are the yardstick on tables, and with few labels a linear model
(docs/objectives.md); where features matter together try `ft_transformer`.
**Cost:** a row: 128 (2p + 16q + 128 + dimension) products at most, p numbers and q categories. Measured: 33,000 rows a
second with 20 numbers and 4 categories, one thread, training (docs/benchmarks.md).
**Source:** Guo & Berkhahn 2016, arXiv 1604.06737 (embeddings of categories).
**Options:** none.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.kernel.errors import BackstayError
from backstay.train.examples import Profile
from backstay.train.options import Options

_HIDDEN = 128
_LIMIT = 10.0


class TableEncoder(nn.Module):
    """Takes `numbers` float32 [rows, p] (NaN where missing) and `codes` int64 [rows, q], or one of them."""

    def __init__(self, numbers: int, levels: tuple[int, ...], dimension: int) -> None:
        super().__init__()
        self.has_numbers = numbers > 0
        sizes = [min(16, 1 + math.ceil(math.sqrt(n))) for n in levels]
        self.tables = nn.ModuleList([nn.Embedding(n, size) for n, size in zip(levels, sizes, strict=True)])
        width = 2 * numbers + sum(sizes)
        self.body = nn.Sequential(
            nn.Linear(width, _HIDDEN),
            nn.LayerNorm(_HIDDEN),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.LayerNorm(_HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, dimension),
        )

    def forward(self, *tensors: Tensor) -> Tensor:
        parts: list[Tensor] = []
        if self.has_numbers:
            numbers = tensors[0]
            gaps = torch.isnan(numbers)
            parts += [torch.where(gaps, torch.zeros_like(numbers), numbers).clamp(-_LIMIT, _LIMIT), gaps.float()]
        if len(self.tables):
            codes = tensors[-1]
            parts += [table(codes[:, place]) for place, table in enumerate(self.tables)]
        return functional.normalize(self.body(torch.cat(parts, dim=1)), dim=1)


def build(profile: Profile, dimension: int, options: Options) -> nn.Module:
    """The encoder for this profile's columns. Codes 0 and 1 of each category are *unseen* and *missing*."""
    if profile.kind != "table":
        raise BackstayError(
            f'the encoder "mlp" reads tables, and these features are of kind {profile.kind}',
            fix='set train.encoder = "auto"',
        )
    options.done()
    levels = tuple(2 + len(profile.levels[name]) for name in profile.categories)
    return TableEncoder(len(profile.numbers), levels, dimension)
