"""A small convolutional encoder for images of any height, width and channels; pixels in as uint8 [rows, H, W, C]."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.train.examples import Profile

_SMALL = 12
_LAST_SIDE = 4


class ConvEncoder(nn.Module):
    """Strided 3x3 convolutions down to about 4x4, then one linear layer. Scaling and standardising are inside."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: tuple[int, ...], mean: Tensor, deviation: Tensor, dimension: int) -> None:
        super().__init__()
        height, width, channels = shape
        self.register_buffer("mean", mean.float())
        self.register_buffer("deviation", deviation.float())
        layers: list[nn.Module] = []
        before, after, small = channels, 32, max(height, width) <= _SMALL
        while not layers or max(height, width) > _LAST_SIDE:
            stride = 1 if small and not layers else 2
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            height, width = -(-height // stride), -(-width // stride)
            before, after = after, 64
        self.body = nn.Sequential(*layers)
        self.out = nn.Linear(before * height * width, dimension)

    def forward(self, pixels: Tensor) -> Tensor:
        x = (pixels.float() / 255.0 - self.mean) / self.deviation
        z: Tensor = self.out(self.body(x.permute(0, 3, 1, 2)).flatten(1))
        return functional.normalize(z, dim=1)


def build(profile: Profile, dimension: int) -> nn.Module:
    """The encoder for this profile's images."""
    return ConvEncoder(profile.shape, torch.tensor(profile.means), torch.tensor(profile.deviations), dimension)
