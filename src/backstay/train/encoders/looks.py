"""Several looks at each picture: as it is, and slightly turned, zoomed, stretched, slanted and shifted.

The mean of an encoder's embeddings over small moves changes less from one drawing of a thing to the next than a single
embedding does. The moves are fixed, in pairs of one and its opposite, spread evenly by an additive recurrence
(Roberts 2018, The unreasonable effectiveness of quasirandom sequences), so that any number of looks will do.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

# The furthest: turn in radians, zoom (as a logarithm), stretch, slant, and shifts in shares of a side.
FURTHEST = (0.25, 0.12, 0.08, 0.12, 0.06, 0.06)


def moves(looks: int) -> Tensor:
    """Matrices [looks - 1, 2, 3] from where a pixel goes to where it comes from; the look without a move is left out.

    >>> tuple(moves(5).shape)
    (4, 2, 3)
    """
    root = 1.0
    for _ in range(64):  # the real root of x^7 = x + 1
        root = (1.0 + root) ** (1.0 / (len(FURTHEST) + 1))
    found = []
    for number in range(looks - 1):
        pair, sign = number // 2 + 1, 1.0 - 2.0 * (number % 2)
        drawn = (2.0 * ((0.5 + pair * root ** -(place + 1)) % 1.0) - 1.0 for place in range(len(FURTHEST)))
        found.append(_matrix(*(sign * most * share for most, share in zip(FURTHEST, drawn, strict=True))))
    return torch.tensor(found, dtype=torch.float32).reshape(-1, 2, 3)


def moved(images: Tensor, matrix: Tensor) -> Tensor:
    """Images [n, C, H, W] by one matrix [2, 3]; edges repeat."""
    height, across = images.shape[2:]
    down, right = ((2 * torch.arange(side, device=images.device) + 1) / side - 1 for side in (height, across))
    places = torch.stack([right.expand(height, across), down[:, None].expand(height, across)], dim=2)
    grid = (places @ matrix[:, :2].T + matrix[:, 2]).expand(images.shape[0], -1, -1, -1)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _matrix(turn: float, zoom: float, stretch: float, slant: float, right: float, down: float) -> list[list[float]]:
    """Turned after slanted after stretched and zoomed; shifts as grids have them, in halves of a side."""
    cosine, sine = math.cos(turn), math.sin(turn)
    wide, high = math.exp(zoom) * (1 + stretch), math.exp(zoom) * (1 - stretch)
    return [
        [wide * (cosine - sine * slant), high * (cosine * slant - sine), 2 * right],
        [wide * (sine + cosine * slant), high * (sine * slant + cosine), 2 * down],
    ]
