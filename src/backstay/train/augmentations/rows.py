"""Numbers, categories and vectors: jitter, values hidden, and features taken from another row."""

from __future__ import annotations

import torch
from torch import Tensor

_JITTER = 0.05
_DROPPED = 0.02
_VECTOR_DROPPED = 0.05
_MOST_DROPPED = 0.9


def numbers(values: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Standardised numbers [n, p] with noise of deviation 0.05 at strength 1; missing ones stay missing."""
    noise = torch.randn(values.shape, generator=generator, device=values.device, dtype=values.dtype)
    return values + _JITTER * strength * noise


def categories(codes: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Codes [n, q], each now and then (2% at strength 1) 0: unseen. So that what is unseen is trained too."""
    return codes.masked_fill(_chance(codes, generator, _DROPPED * strength), 0)


def vectors(values: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Standardised vectors [n, d] with noise, and now and then (5% at strength 1) a place at its mean."""
    noisy = numbers(values, generator, strength)
    return noisy.masked_fill(_chance(values, generator, _VECTOR_DROPPED * strength), 0.0)


def corrupt(
    tensors: tuple[Tensor, ...], share: float, generator: torch.Generator
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Copies [n, p] of which each value is, with the chance `share`, that of another row of the batch; and where.

    A value is drawn for each place by itself, so that what a column says stays likely and what columns say together
    does not (SCARF). The masks say where a value was taken from elsewhere, be it by chance the same. A single row has
    nobody to take from and stays as it is.
    """
    changed, masks = [], []
    for tensor in tensors:
        n = len(tensor)
        mask = _chance(tensor, generator, share)
        if n < 2:
            changed.append(tensor)
            masks.append(torch.zeros_like(mask))
            continue
        step = torch.randint(1, n, tensor.shape, generator=generator, device=tensor.device)
        other = (torch.arange(n, device=tensor.device)[:, None] + step) % n
        changed.append(torch.where(mask, tensor.gather(0, other), tensor))
        masks.append(mask)
    return tuple(changed), tuple(masks)


def _chance(like: Tensor, generator: torch.Generator, share: float) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=like.device) < min(_MOST_DROPPED, share)
