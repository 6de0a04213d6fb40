"""A small transformer for tables: every column is a token, and tokens look at one another. FT-Transformer.

    token of a number x  = x * w + b        (a learned m where x is missing)
    token of a category  = row of its code in a learned table, + b   (0 unseen, 1 missing)
    [CLS, tokens] -> blocks of (LayerNorm, attention), (LayerNorm, feed-forward), each added to what came in
    embedding = linear map of CLS, at length 1

**Prefer it:** to `mlp` with tens of thousands of rows, where what a column means depends on other columns, and for
`masked` and `scarf`, which ask for just that.
**Wrong:** with a few hundred rows (boosted trees or `mlp` do better), or hundreds of columns: attention costs the
square of their number. Boosted trees remain the yardstick on tables.
**Cost:** a row of c columns: blocks * (12 c width^2 + 2 c^2 width) multiplications, some ten times those of `mlp` for
10 columns.
**Source:** Gorishniy, Rubachev, Khrulkov & Babenko 2021, arXiv 2106.11959 (ours: the learned token for missing
numbers).
**Options:** width = 32 (a multiple of heads), blocks = 2, heads = 4, dropout = 0.1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.kernel.errors import BackstayError
from backstay.train.encoders.attention import Block, size_of
from backstay.train.examples import Profile
from backstay.train.options import Options

_LIMIT = 10.0


class FTTransformer(nn.Module):
    """Takes `numbers` float32 [rows, p] (NaN where missing) and `codes` int64 [rows, q], or one of them."""

    def __init__(
        self,
        numbers: int,
        levels: tuple[int, ...],
        dimension: int,
        *,
        width: int = 32,
        blocks: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.has_numbers = numbers > 0
        self.first = nn.Parameter(_drawn(width))
        self.slopes = nn.Parameter(_drawn(numbers, width))
        self.missing = nn.Parameter(_drawn(numbers, width))
        self.tables = nn.ModuleList([nn.Embedding(n, width) for n in levels])
        for table in self.tables:
            nn.init.normal_(table.weight, std=width**-0.5)  # type: ignore[arg-type] # an nn.Embedding has a weight
        self.places = nn.Parameter(_drawn(numbers + len(levels), width))
        self.blocks = nn.ModuleList([Block(width, heads, dropout) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, dimension)

    def forward(self, *tensors: Tensor) -> Tensor:
        tokens = self._tokens(tensors) + self.places
        # `len(tokens)` would be written into the exported graph as the number of rows of the example.
        x = torch.cat([self.first.expand(tokens.shape[0], 1, -1), tokens], dim=1)
        for block in self.blocks:
            x = block(x)
        z: Tensor = self.out(functional.relu(self.norm(x[:, 0])))
        return functional.normalize(z, dim=1)

    def _tokens(self, tensors: tuple[Tensor, ...]) -> Tensor:
        parts: list[Tensor] = []
        if self.has_numbers:
            gaps = torch.isnan(tensors[0])
            there = tensors[0].masked_fill(gaps, 0.0).clamp(-_LIMIT, _LIMIT)
            parts.append(there[:, :, None] * self.slopes + gaps.float()[:, :, None] * self.missing)
        if len(self.tables):
            codes = tensors[-1]
            parts.append(torch.stack([table(codes[:, place]) for place, table in enumerate(self.tables)], dim=1))
        return torch.cat(parts, dim=1)


def _drawn(*shape: int) -> Tensor:
    return torch.randn(shape) / math.sqrt(shape[-1])


def build(profile: Profile, dimension: int, options: Options) -> nn.Module:
    """The encoder for this profile's columns. Codes 0 and 1 of each category are *unseen* and *missing*."""
    if profile.kind != "table":
        raise BackstayError(
            f'the encoder "ft_transformer" reads tables, and this is a column of kind {profile.kind}',
            fix='set train.encoder = "auto"',
        )
    width, blocks, heads, dropout = size_of(options, width=32, depth="blocks")
    options.done()
    levels = tuple(2 + len(profile.levels[name]) for name in profile.categories)
    return FTTransformer(
        len(profile.numbers), levels, dimension, width=width, blocks=blocks, heads=heads, dropout=dropout
    )
