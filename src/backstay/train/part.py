"""Rows of one part, ready for torch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Part:
    """Rows as the encoder takes them, class codes [n] (-1 where unlabelled) and weights [n]; `aims` [n, d] are a
    teacher's embeddings, where there is one."""

    tensors: tuple[Tensor, ...]
    labels: Tensor
    weights: Tensor
    aims: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def content(self) -> tuple[Tensor, ...]:
        """All that the rows are."""
        return (*self.tensors, self.labels, self.weights, *(() if self.aims is None else (self.aims,)))

    def take(self, rows: Tensor) -> Part:
        """These rows, in this order."""
        aims = None if self.aims is None else self.aims[rows]
        return Part(tuple(t[rows] for t in self.tensors), self.labels[rows], self.weights[rows], aims)

    def labelled(self) -> Part:
        """The rows that have a label."""
        known = self.labels >= 0
        return self if bool(known.all()) else self.take(known.nonzero()[:, 0])
