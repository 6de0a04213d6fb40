"""From embeddings back to rows: what objectives that reconstruct learn beside the encoder, and how far off it is.

A decoder is thrown away after training. Images are compared as standardised pixels, numbers of tables as the
standardised numbers they are (only those that are there), categories by the cross-entropy of their code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.kernel.errors import BackstayError
from backstay.train.examples import Profile

_LIMIT = 10.0
_SMALL = 1e-12


class Decoder(nn.Module):
    """Answers, for codes [n, width], what `misfit` compares with the clean rows; several tensors or one.

    `size` is the length of a flat row, `cells` how many values `misfit` is a mean over.
    """

    size: int
    cells: int

    def forward(self, codes: Tensor) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def misfit(self, told: tuple[Tensor, ...], tensors: tuple[Tensor, ...]) -> Tensor:
        """How far `told` is from the clean rows: a mean over what a row holds, [n]."""
        raise NotImplementedError

    def flat(self, tensors: tuple[Tensor, ...]) -> Tensor:
        """Clean rows as one standardised vector each [n, size], without gaps."""
        raise NotImplementedError

    def flat_of(self, told: tuple[Tensor, ...]) -> Tensor:
        """What the decoder tells as such a vector [n, size]; of a category the chance of each code."""
        raise NotImplementedError


class ImageDecoder(Decoder):
    """Linear to a quarter of the sides, then up twice by convolutions; the standardised pixels of [n, H, W, C]."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, profile: Profile, width: int, hidden: int = 32) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(profile.means).float())
        self.register_buffer("deviation", torch.tensor(profile.deviations).float())
        self.sides = profile.shape[:2]
        height, across = (max(1, -(-side // 4)) for side in self.sides)
        self.size = profile.shape[0] * profile.shape[1] * profile.shape[2]
        self.cells = self.size
        self.body = nn.Sequential(
            nn.Linear(width, hidden * height * across),
            nn.ReLU(),
            nn.Unflatten(1, (hidden, height, across)),
            nn.ConvTranspose2d(hidden, hidden, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(hidden, profile.shape[2], 4, 2, 1),
        )

    def forward(self, codes: Tensor) -> tuple[Tensor, ...]:
        height, across = self.sides
        pixels: Tensor = self.body(codes)[:, :, :height, :across]
        return (pixels.permute(0, 2, 3, 1),)

    def misfit(self, told: tuple[Tensor, ...], tensors: tuple[Tensor, ...]) -> Tensor:
        return (told[0] - self._standard(tensors[0])).square().flatten(1).mean(dim=1)

    def flat(self, tensors: tuple[Tensor, ...]) -> Tensor:
        return self._standard(tensors[0]).flatten(1)

    def flat_of(self, told: tuple[Tensor, ...]) -> Tensor:
        return told[0].flatten(1)

    def _standard(self, pixels: Tensor) -> Tensor:
        return (pixels.float() / 255.0 - self.mean) / self.deviation


class TableDecoder(Decoder):
    """One hidden layer; then numbers [n, p] where there are, and logits [n, levels] of each category."""

    def __init__(self, numbers: int, levels: tuple[int, ...], width: int, hidden: int = 128) -> None:
        super().__init__()
        self.numbers, self.levels = numbers, levels
        self.size = numbers + sum(levels)
        self.cells = numbers + len(levels)
        self.body = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, self.size))

    def forward(self, codes: Tensor) -> tuple[Tensor, ...]:
        sizes = [self.numbers] * bool(self.numbers) + list(self.levels)
        return tuple(self.body(codes).split(sizes, dim=1))

    def misfit(self, told: tuple[Tensor, ...], tensors: tuple[Tensor, ...]) -> Tensor:
        losses, there = table_losses(told, tensors, self.numbers, len(self.levels))
        return (losses * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)

    def flat(self, tensors: tuple[Tensor, ...]) -> Tensor:
        parts = [clean(tensors[0])] if self.numbers else []
        parts += [functional.one_hot(tensors[-1][:, i], n).float() for i, n in enumerate(self.levels)]
        return torch.cat(parts, dim=1)

    def flat_of(self, told: tuple[Tensor, ...]) -> Tensor:
        parts = [told[0]] if self.numbers else []
        return torch.cat(parts + [logits.softmax(dim=1) for logits in told[len(parts) :]], dim=1)


def table_losses(
    told: tuple[Tensor, ...], tensors: tuple[Tensor, ...], numbers: int, categories: int
) -> tuple[Tensor, Tensor]:
    """Squared errors of numbers and cross-entropies of categories, a column each [n, p + q]; and which count.

    A number that is missing does not count; that a category is missing is a value like others.
    """
    losses: list[Tensor] = []
    there: list[Tensor] = []
    if numbers:
        losses.append((told[0] - clean(tensors[0])).square())
        there.append(~torch.isnan(tensors[0]))
    logits = told[-categories:] if categories else ()
    for place, one in enumerate(logits):
        # Cross-entropy as a gather: without a reduction torch's own cannot be written into a graph.
        losses.append(-functional.log_softmax(one, dim=1).gather(1, tensors[-1][:, place, None]))
        there.append(torch.ones_like(losses[-1], dtype=torch.bool))
    return torch.cat(losses, dim=1), torch.cat(there, dim=1)


def clean(numbers: Tensor) -> Tensor:
    """Standardised numbers as encoders see them: 0 where missing, at most 10 deviations away."""
    return torch.nan_to_num(numbers, nan=0.0).clamp(-_LIMIT, _LIMIT)


def mean_of(each: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of a value a row; 0, with a graph, where all weights are 0."""
    return (each * weights).sum() / weights.sum().clamp(min=_SMALL)


def levels_of(profile: Profile) -> tuple[int, ...]:
    """How many codes each category has, *unseen* and *missing* among them."""
    return tuple(2 + len(profile.levels[name]) for name in profile.categories)


def decoder_of(profile: Profile, width: int, objective: str) -> Decoder:
    """The decoder for this kind of rows. Raises BackstayError for texts, which no decoder here writes."""
    if profile.kind == "image":
        return ImageDecoder(profile, width)
    if profile.kind == "table":
        return TableDecoder(len(profile.numbers), levels_of(profile), width)
    if profile.kind == "vector":
        return TableDecoder(profile.shape[0], (), width)
    raise BackstayError(
        f'the objective "{objective}" rebuilds images, tables and vectors, and these are of kind {profile.kind}',
        fix='take train.objective = "nt_xent" or "vicreg" for texts without labels',
    )


def only_tables(profile: Profile, objective: str) -> None:
    """Raises BackstayError for rows that have no features to corrupt one by one."""
    if profile.kind not in ("table", "vector"):
        raise BackstayError(
            f'the objective "{objective}" corrupts single features of tables, and these are of kind {profile.kind}',
            fix='take train.objective = "nt_xent" or "vicreg"',
        )
