"""Rows of one part, ready for torch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Part:
    """Rows as the encoder takes them, class codes [n] (-1 where unlabelled) and weights [n]."""

    tensors: tuple[Tensor, ...]
    labels: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor) -> Part:
        """These rows, in this order."""
        return Part(tuple(t[rows] for t in self.tensors), self.labels[rows], self.weights[rows])

    def labelled(self) -> Part:
        """The rows that have a label."""
        known = self.labels >= 0
        return self if bool(known.all()) else self.take(known.nonzero()[:, 0])
