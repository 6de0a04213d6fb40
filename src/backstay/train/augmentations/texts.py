"""Codes of words: some are hidden one by one, and a run of them together."""

from __future__ import annotations

import torch
from torch import Tensor

from backstay.bundle.tokens import MASK, PADDING, START

_DROPPED = 0.05
_SPAN = 0.1
_MOST = 0.5


def texts(codes: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Codes int64 [n, length] of which, at strength 1, 5% and a run of up to 10% of the text are the mask.

    Padding and the sign at the start stay, and so does every text of a single word.
    """
    words = (codes != PADDING) & (codes != START)
    many = words.sum(dim=1, keepdim=True)
    n, device = len(codes), codes.device
    hidden = torch.rand(codes.shape, generator=generator, device=device) < min(_MOST, _DROPPED * strength)
    rank = words.cumsum(dim=1) - 1
    longest = many * min(_MOST, _SPAN * strength)
    span = (torch.rand(n, 1, generator=generator, device=device) * (longest + 1)).floor()
    begin = (torch.rand(n, 1, generator=generator, device=device) * (many - span + 1)).floor()
    hidden |= (rank >= begin) & (rank < begin + span)
    return codes.masked_fill(hidden & words & (many > 1), MASK)
