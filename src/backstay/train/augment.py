"""Light, seeded changes to training rows that leave the label as it is: by kind of data.

Images are moved, turned, zoomed and re-exposed, tables and vectors jittered, words of a text hidden. `strength`
multiplies every change; 0 is the rows as they are. Cost: one resampling an image, little for the others.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from backstay.kernel.errors import BackstayError
from backstay.train.augmentations.images import USUAL, Changes, images
from backstay.train.augmentations.rows import categories, numbers, vectors
from backstay.train.augmentations.texts import texts
from backstay.train.options import Options

__all__ = ["KINDS", "augment", "checked", "images"]

KINDS = ("image", "table", "text", "vector")


def augment(
    tensors: tuple[Tensor, ...],
    generator: torch.Generator,
    strength: float = 1.0,
    kind: str = "table",
    changes: Changes = USUAL,
) -> tuple[Tensor, ...]:
    """Changed copies of a batch, all chance by `generator`; the given tensors stay as they are.

    Args:
        tensors: as the encoder takes them; four dimensions are images whatever `kind` says.
        strength: 0 answers `tensors` themselves.
        kind: one of `KINDS`: numbers of a table and of a vector look alike, as do codes of categories and of words; or
            "codes" of a pre-trained encoder, which are left as they are.
        changes: which ones to images; a flip is wrong where it changes the meaning (digits, text).
    """
    if strength == 0 or kind == "codes":
        return tensors
    return tuple(_one(t, generator, strength, kind, changes) for t in tensors)


def checked(given: Mapping[str, float | int | str | bool], kind: str, flip: bool) -> Changes:
    """What `train.augmentation_options` and `train.flip` say.

    Raises:
        BackstayError: an option that there is not, or any or a flip where the rows are no images.
    """
    if flip and kind != "image":
        raise BackstayError(
            f"train.flip mirrors images, and the rows are of the kind {kind}",
            fix="take it out",
        )
    if given and kind != "image":
        raise BackstayError(
            f"train.augmentation_options is set and the rows are of the kind {kind}",
            fix="take it out: only changes to images have options",
        )
    return Changes.of(Options("train.augmentation_options", given), flip)


def _one(tensor: Tensor, generator: torch.Generator, strength: float, kind: str, changes: Changes) -> Tensor:
    if tensor.dim() == 4:
        return images(tensor, generator, strength, changes)
    if kind == "text":
        return texts(tensor, generator, strength)
    if kind == "vector":
        return vectors(tensor, generator, strength)
    return (numbers if tensor.is_floating_point() else categories)(tensor, generator, strength)
