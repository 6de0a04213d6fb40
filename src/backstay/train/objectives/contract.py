"""What an objective is: a loss over a batch's embeddings and logits."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Objective(Protocol):
    """A training loss.

    `trains_head`: the head learns together with the encoder; otherwise it is fitted on the frozen embeddings after.
    Calling it with embeddings [n, d] of length 1, logits [n, k], class codes [n] and weights [n] answers a scalar.
    """

    trains_head: bool

    def __call__(self, embeddings: Tensor, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor: ...
