"""A small convolutional encoder for images of any height, width and channels; pixels in as uint8 [rows, H, W, C].

3x3 convolutions with batch normalisation until the image is about 4x4, then one linear layer; scaling and
standardising are inside. Halving by "stride" is quick: a 28x28 image costs 2 million multiplications. Halving by "pool"
looks at every pixel before it throws any away: about three times the cost, and better neighbours (docs/benchmarks.md).

Options: `halving` ("stride" or "pool"), `width` (channels of the first layer, 32; "stride" goes on with twice as many,
"pool" with twice, three times, ...).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.kernel.errors import BackstayError
from backstay.train.examples import Profile
from backstay.train.options import Options

_SMALL = 12
_LAST_SIDE = 4
_POOLED_ABOVE = 8


class ConvEncoder(nn.Module):
    """`body` down to about 4x4, then `out` to the unit embedding."""

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        mean: Tensor,
        deviation: Tensor,
        dimension: int,
        *,
        width: int = 32,
        pool: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", mean.float())
        self.register_buffer("deviation", deviation.float())
        self.body, flat = _body(shape, width, pool)
        self.out = nn.Linear(flat, dimension)

    def forward(self, pixels: Tensor) -> Tensor:
        x = (pixels.float() / 255.0 - self.mean) / self.deviation
        z: Tensor = self.out(self.body(x.permute(0, 3, 1, 2)).flatten(1))
        return functional.normalize(z.float(), dim=1)


def _body(shape: tuple[int, ...], width: int, pool: bool) -> tuple[nn.Sequential, int]:
    """The convolutions, and how many numbers they leave of an image."""
    height, across, before = shape
    small = max(height, across) <= _SMALL
    layers: list[nn.Module] = []
    depth = 0
    while not layers or max(height, across) > _LAST_SIDE:
        depth += 1
        after = depth * width if pool else min(depth, 2) * width
        pooled = pool and max(height, across) > _POOLED_ABOVE
        stride = 1 if pooled or (small and depth == 1) else 2
        layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        height, across, before = -(-height // stride), -(-across // stride), after
        if pooled:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            height, across = -(-height // 2), -(-across // 2)
    # Channels last: a fifth to a quarter quicker on a CPU, and the layout that pixels come in.
    return nn.Sequential(*layers).to(memory_format=torch.channels_last), before * height * across  # type: ignore[call-overload] # torch's stub knows other overloads only


def build(profile: Profile, dimension: int, options: Options) -> nn.Module:
    """The encoder for this profile's images."""
    if profile.kind != "image":
        raise BackstayError(
            f'the encoder "conv" reads one image column, and these features are of kind {profile.kind}',
            fix='set train.encoder = "auto"',
        )
    pool = options.choice("halving", "stride", ("stride", "pool")) == "pool"
    width = options.whole("width", 32, low=1, high=1024)
    options.done()
    means, deviations = torch.tensor(profile.means), torch.tensor(profile.deviations)
    return ConvEncoder(profile.shape, means, deviations, dimension, width=width, pool=pool)
