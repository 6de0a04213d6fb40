"""Cross-entropy: encoder and linear head learn together."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from backstay.settings import TrainSettings


@dataclass(frozen=True)
class CrossEntropy:
    """Weighted mean of -log p(class)."""

    trains_head: bool = True

    def __call__(self, embeddings: Tensor, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        each = functional.cross_entropy(logits, labels, reduction="none")
        return (each * weights).sum() / weights.sum().clamp(min=1e-12)


def build(_: TrainSettings) -> CrossEntropy:
    return CrossEntropy()
