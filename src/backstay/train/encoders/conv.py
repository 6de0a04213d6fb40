"""A small convolutional encoder for images of any height, width and channels; pixels in as uint8 [rows, H, W, C].

3x3 convolutions with batch normalisation until the image is about 4x4, then one linear layer; scaling and
standardising are inside. Halving by "stride" is quick. Halving by "pool" looks at every pixel before it throws any
away: better neighbours. "deep" halves by a stride once, then has two convolutions a size and a pool between: better
where shapes that nobody has trained on are to be told apart (docs/objectives.md).
**Prefer it:** for images with labels: kNN-20 of 0.921 on Fashion-MNIST with `supcon`, raw pixels 0.842
(docs/benchmarks.md).
**Wrong:** without labels in short runs, where `patches` is far ahead (docs/objectives.md); for large pictures whose
small details count, and where a pre-trained encoder is at hand: bring its vectors (`vectors`).
**Cost:** "stride" takes 2 million multiplications for an image of 28 x 28, "pool" about three times that, "deep" about
as much as "pool". Measured: with "stride" some 36 ms of CPU time for a step of 256 such images (docs/benchmarks.md);
`looks` multiplies the cost of an answer.
**Source:** LeCun et al. 1998; batch normalisation: Ioffe & Szegedy 2015, arXiv 1502.03167; ours: the looks.
**Options:** `halving` ("stride", "pool" or "deep"), `width` (channels of the first layer, 32; "stride" goes on with
twice as many, the others with twice, three times, ...), `looks` (1: an answer is the mean direction of the embeddings
of the picture as it is and of `looks` - 1 slight moves of it: turned, zoomed, stretched, slanted, shifted). Several
looks are right where one or a few examples stand for a class, and wrong where a slight turn changes the meaning;
training sees one look at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.kernel.errors import BackstayError
from backstay.train.encoders.looks import moved, moves
from backstay.train.examples import Profile
from backstay.train.options import Options

_SMALL = 12
_LAST_SIDE = 4
_POOLED_ABOVE = 8


class ConvEncoder(nn.Module):
    """`body` down to about 4x4, then `out` to the unit embedding; out of training, the mean direction of `looks`.

    `glancing`: one look will do, as between epochs.
    """

    mean: Tensor
    deviation: Tensor
    moves: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        mean: Tensor,
        deviation: Tensor,
        dimension: int,
        *,
        width: int = 32,
        halving: str = "stride",
        looks: int = 1,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", mean.float())
        self.register_buffer("deviation", deviation.float())
        self.body, flat = _body(shape, width, halving)
        self.out = nn.Linear(flat, dimension)
        self.register_buffer("moves", moves(looks), persistent=False)
        self.glancing = False

    def forward(self, pixels: Tensor) -> Tensor:
        x = ((pixels.float() / 255.0 - self.mean) / self.deviation).permute(0, 3, 1, 2)
        z = self._unit(x)
        if self.training or self.glancing or len(self.moves) == 0:
            return z
        for move in self.moves:
            z = z + self._unit(moved(x, move))
        return functional.normalize(z, dim=1)

    def _unit(self, x: Tensor) -> Tensor:
        z: Tensor = self.out(self.body(x).flatten(1))
        return functional.normalize(z.float(), dim=1)


def _body(shape: tuple[int, ...], width: int, halving: str) -> tuple[nn.Sequential, int]:
    """The convolutions, and how many numbers they leave of an image."""
    layers, left = _twice(shape, width) if halving == "deep" else _once(shape, width, halving == "pool")
    # Channels last: a fifth to a quarter quicker on a CPU, and the layout that pixels come in.
    return nn.Sequential(*layers).to(memory_format=torch.channels_last), left  # type: ignore[call-overload] # torch's stub knows other overloads only


def _once(shape: tuple[int, ...], width: int, pool: bool) -> tuple[list[nn.Module], int]:
    """One convolution a size."""
    height, across, before = shape
    small = max(height, across) <= _SMALL
    layers: list[nn.Module] = []
    depth = 0
    while not layers or max(height, across) > _LAST_SIDE:
        depth += 1
        after = depth * width if pool else min(depth, 2) * width
        pooled = pool and max(height, across) > _POOLED_ABOVE
        stride = 1 if pooled or (small and depth == 1) else 2
        layers += _convolution(before, after, stride)
        height, across, before = -(-height // stride), -(-across // stride), after
        if pooled:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            height, across = -(-height // 2), -(-across // 2)
    return layers, before * height * across


def _twice(shape: tuple[int, ...], width: int) -> tuple[list[nn.Module], int]:
    """One by a stride, then two a size, the second with more channels, and one at the last size."""
    height, across, channels = shape
    stride = 1 if max(height, across) <= _SMALL else 2
    layers = _convolution(channels, width, stride)
    height, across, channels = -(-height // stride), -(-across // stride), width
    while max(height, across) > _LAST_SIDE:
        layers += [*_convolution(channels, channels, 1), nn.MaxPool2d(2, ceil_mode=True)]
        layers += _convolution(channels, channels + width, 1)
        height, across, channels = -(-height // 2), -(-across // 2), channels + width
    return layers, channels * height * across


def _convolution(before: int, after: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]


def build(profile: Profile, dimension: int, options: Options) -> nn.Module:
    """The encoder for this profile's images."""
    if profile.kind != "image":
        raise BackstayError(
            f'the encoder "conv" reads one image column, and these features are of kind {profile.kind}',
            fix='set train.encoder = "auto"',
        )
    halving = options.choice("halving", "stride", ("stride", "pool", "deep"))
    width = options.whole("width", 32, low=1, high=1024)
    looks = options.whole("looks", 1, low=1, high=101)
    options.done()
    means, deviations = torch.tensor(profile.means), torch.tensor(profile.deviations)
    return ConvEncoder(profile.shape, means, deviations, dimension, width=width, halving=halving, looks=looks)
