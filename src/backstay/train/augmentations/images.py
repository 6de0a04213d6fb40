"""Images: one affine resampling (crop and resize, flip, turn, zoom, shift), then blur, contrast, brightness, noise.

Options (`train.augmentation_options`): `moves` multiplies turn, zoom, stretch and shift (1), `exposure` multiplies
blur, contrast, brightness and noise (1; 0 leaves the light as it is, right for ink on paper and quicker), `crop`
is the smallest share of the picture's area that a random crop keeps before it is resized (1 crops nothing), `warp` the
deviation in shares of a side by which places are displaced, smoothly from place to place (0; 0.04 bends handwriting as
other hands do: Simard, Steinkraus & Platt 2003, ICDAR).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from backstay.train.options import Options

_SHIFT = 0.08
_TURN = 0.12
_ZOOM = 0.08
_STRETCH = 0.04
_CONTRAST = 0.25
_BRIGHTNESS = 20.0
_NOISE = 6.0
_BLUR = 0.25
_BLUR_WIDTH = 0.8
# A warp: displacements are drawn at this many places a side, bicubic between them.
_KNOTS = 4
# However strong: half of the picture stays in sight, and it is never turned upside down or made flat.
_MOST_SHIFT = 0.5
_MOST_TURN = 1.5
_MOST_ZOOM = 0.7
_MOST_CONTRAST = 0.9


@dataclass(frozen=True, slots=True)
class Changes:
    """Which changes, each beside the common strength; the module says what they mean."""

    flip: bool = False
    moves: float = 1.0
    exposure: float = 1.0
    crop: float = 1.0
    warp: float = 0.0

    @staticmethod
    def of(options: Options, flip: bool) -> Changes:
        """As the settings say."""
        found = Changes(
            flip,
            options.number("moves", 1.0, low=0, high=100),
            options.number("exposure", 1.0, low=0, high=100),
            options.number("crop", 1.0, low=0.05, high=1.0),
            options.number("warp", 0.0, low=0, high=0.5),
        )
        options.done()
        return found


USUAL = Changes()


def images(pixels: Tensor, generator: torch.Generator, strength: float = 1.0, changes: Changes = USUAL) -> Tensor:
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
    theta = _moves(spread, strength * changes.moves)
    if changes.crop < 1:
        theta = _cropped(theta, changes.crop, spread)
    if changes.flip:
        mirrored = torch.rand(n, generator=generator, device=device) < 0.5
        theta = torch.where(mirrored[:, None, None] & _FIRST_COLUMN.to(device), -theta, theta)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    if changes.warp > 0:
        grid = grid + _displaced(x, generator, strength * changes.warp)
    x = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    if changes.exposure > 0:
        x = _exposed(x, generator, spread, strength * changes.exposure).clamp(0, 255)
    return x.permute(0, 2, 3, 1)


def _displaced(x: Tensor, generator: torch.Generator, deviation: float) -> Tensor:
    """Smooth displacements [n, H, W, 2], in halves of a side as grids have them."""
    knots = torch.randn(len(x), 2, _KNOTS, _KNOTS, generator=generator, device=x.device) * (2 * deviation)
    between = functional.interpolate(knots, size=x.shape[2:], mode="bicubic", align_corners=True)
    return between.permute(0, 2, 3, 1)


def _exposed(x: Tensor, generator: torch.Generator, spread: Callable[[float], Tensor], strength: float) -> Tensor:
    """Blur, contrast, brightness, noise."""
    share = torch.rand(len(x), generator=generator, device=x.device) * min(1.0, _BLUR * strength)
    x = torch.lerp(x, blurred(x, _BLUR_WIDTH), share[:, None, None, None])
    x = x * (1 + spread(min(_MOST_CONTRAST, _CONTRAST * strength)))[:, None, None, None]
    x = x + spread(_BRIGHTNESS * strength)[:, None, None, None]
    return x + _NOISE * strength * torch.randn(x.shape, generator=generator, device=x.device)


def _cropped(theta: Tensor, least: float, spread: Callable[[float], Tensor]) -> Tensor:
    """Matrices that look at a random part of the picture first, from `least` to all of its area, wholly inside it."""
    side = (least + (1 - least) * (spread(0.5) + 0.5)).sqrt()
    shift = torch.stack([spread(1.0), spread(1.0)], 1) * (1 - side)[:, None]
    return torch.cat([theta[:, :, :2] * side[:, None, None], theta[:, :, 2:] + shift[:, :, None]], dim=2)


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
