"""Light, seeded changes to training rows that leave the label as it is: by kind of data."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_SHIFT = 0.08
_TURN = 0.12
_ZOOM = 0.08
_CONTRAST = 0.25
_NOISE = 6.0
_JITTER = 0.05
_DROPPED = 0.02


def augment(tensors: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
    """Changed copies of a batch: images are moved and re-exposed, numbers jittered, categories now and then unseen."""
    return tuple(_one(t, generator) for t in tensors)


def _one(tensor: Tensor, generator: torch.Generator) -> Tensor:
    if tensor.dim() == 4:
        return images(tensor, generator)
    if tensor.is_floating_point():
        return tensor + _JITTER * torch.randn(tensor.shape, generator=generator)
    return tensor.masked_fill(torch.rand(tensor.shape, generator=generator) < _DROPPED, 0)


def images(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Shifts, turns and zooms in one `grid_sample`, then contrast, brightness and noise; [n, H, W, C] of 0..255."""
    n = len(pixels)

    def spread(width: float) -> Tensor:
        return (2 * torch.rand(n, generator=generator) - 1) * width

    turn, zoom = spread(_TURN), 1 + spread(_ZOOM)
    cosine, sine = torch.cos(turn) * zoom, torch.sin(turn) * zoom
    theta = torch.stack(
        [torch.stack([cosine, -sine, 2 * spread(_SHIFT)], 1), torch.stack([sine, cosine, 2 * spread(_SHIFT)], 1)], 1
    )
    x = pixels.float().permute(0, 3, 1, 2)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    x = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    x = x * (1 + spread(_CONTRAST))[:, None, None, None] + 20 * spread(1.0)[:, None, None, None]
    x = x + _NOISE * torch.randn(x.shape, generator=generator)
    return x.clamp(0, 255).permute(0, 2, 3, 1)
