"""Light, seeded changes to training rows that leave the label as it is: by kind of data.

Images are moved, turned, zoomed and re-exposed, tables and vectors jittered, words of a text hidden. `strength`
multiplies every change; 0 is the rows as they are. Cost: one resampling an image, little for the others.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backstay.train.augmentations.images import images
from backstay.train.augmentations.rows import categories, numbers, vectors
from backstay.train.augmentations.texts import texts

__all__ = ["KINDS", "augment", "images"]

KINDS = ("image", "table", "text", "vector")


def augment(
    tensors: tuple[Tensor, ...],
    generator: torch.Generator,
    strength: float = 1.0,
    kind: str = "table",
    flip: bool = False,
) -> tuple[Tensor, ...]:
    """Changed copies of a batch, all chance by `generator`; the given tensors stay as they are.

    Args:
        tensors: as the encoder takes them; four dimensions are images whatever `kind` says.
        strength: 0 answers `tensors` themselves.
        kind: one of `KINDS`: numbers of a table and of a vector look alike, as do codes of categories and of words.
        flip: mirror half of the images left to right; wrong where that changes the meaning (digits, text).
    """
    if strength == 0:
        return tensors
    return tuple(_one(t, generator, strength, kind, flip) for t in tensors)


def _one(tensor: Tensor, generator: torch.Generator, strength: float, kind: str, flip: bool) -> Tensor:
    if tensor.dim() == 4:
        return images(tensor, generator, strength, flip=flip)
    if kind == "text":
        return texts(tensor, generator, strength)
    if kind == "vector":
        return vectors(tensor, generator, strength)
    return (numbers if tensor.is_floating_point() else categories)(tensor, generator, strength)
