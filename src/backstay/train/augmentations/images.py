"""Images: one affine resampling (crop and resize, flip, turn, zoom, shift), then blur, contrast, brightness, noise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

_SHIFT = 0.08
_TURN = 0.12
_ZOOM = 0.08
_STRETCH = 0.04
_CONTRAST = 0.25
_BRIGHTNESS = 20.0
_NOISE = 6.0
_BLUR = 0.25
_BLUR_WIDTH = 0.8
# However strong: half of the picture stays in sight, and it is never turned upside down or made flat.
_MOST_SHIFT = 0.5
_MOST_TURN = 1.5
_MOST_ZOOM = 0.7
_MOST_CONTRAST = 0.9


def images(pixels: Tensor, generator: torch.Generator, strength: float = 1.0, *, flip: bool = False) -> Tensor:
    """Changed pixels float32 [n, H, W, C] of 0..255, each image by its own chance.

    At strength 1: moved by up to 8% of a side, turned by up to 7 degrees, zoomed by up to 8% (in is a crop that is
    resized), stretched by up to 4%, up to a quarter of it blurred, contrast by up to 25%, brightness by up to 20 of
    255, noise with a deviation of 6.
    """
    if strength == 0:
        return pixels
    n, device = len(pixels), pixels.device

    def spread(width: float) -> Tensor:
        return (2 * torch.rand(n, generator=generator, device=device) - 1) * width

    x = pixels.float().permute(0, 3, 1, 2)
    theta = _moves(spread, strength)
    if flip:
        mirrored = torch.rand(n, generator=generator, device=device) < 0.5
        theta = torch.where(mirrored[:, None, None] & _FIRST_COLUMN.to(device), -theta, theta)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    x = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    share = torch.rand(n, generator=generator, device=device) * min(1.0, _BLUR * strength)
    x = torch.lerp(x, blurred(x, _BLUR_WIDTH), share[:, None, None, None])
    x = x * (1 + spread(min(_MOST_CONTRAST, _CONTRAST * strength)))[:, None, None, None]
    x = x + spread(_BRIGHTNESS * strength)[:, None, None, None]
    x = x + _NOISE * strength * torch.randn(x.shape, generator=generator, device=device)
    return x.clamp(0, 255).permute(0, 2, 3, 1)


_FIRST_COLUMN = torch.tensor([[True, False, False], [True, False, False]])


def _moves(spread: Callable[[float], Tensor], strength: float) -> Tensor:
    """Matrices [n, 2, 3] from where a pixel goes to where it comes from."""
    turn = spread(min(_MOST_TURN, _TURN * strength))
    zoom = 1 + spread(min(_MOST_ZOOM, _ZOOM * strength))
    stretch = 1 + spread(min(_MOST_ZOOM, _STRETCH * strength)) / 2
    cosine, sine = torch.cos(turn) * zoom, torch.sin(turn) * zoom
    shift = 2 * min(_MOST_SHIFT, _SHIFT * strength)
    return torch.stack(
        [
            torch.stack([cosine * stretch, -sine, spread(shift)], 1),
            torch.stack([sine * stretch, cosine, spread(shift)], 1),
        ],
        1,
    )


def blurred(x: Tensor, width: float) -> Tensor:
    """Images [n, C, H, W] through a gaussian of this deviation in pixels, cut off after one pixel; edges repeat."""
    side = torch.exp(-0.5 * (torch.arange(-1.0, 2.0, device=x.device, dtype=x.dtype) / width).square())
    kernel = torch.outer(side, side) / side.sum().square()
    channels = x.shape[1]
    padded = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(padded, kernel.expand(channels, 1, 3, 3), groups=channels)
