"""Nearest prototype: a class is the mean of its embeddings, and a row belongs to the class whose mean is nearest.

The score of class c is the softmax over -|e - m_c|^2 / T, with e and every mean m_c on the unit sphere and the
temperature T fitted on the tune part. Prefer it with few rows a class. Cost: one mean a class. It is wrong where a
class is several clouds apart from each other. Source: Snell, Swersky & Zemel 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.maths.calibrate import Temperature
from backstay.train.options import Options

_SCALE = 8.0


class PrototypeHead(nn.Module):
    """Logits [rows, classes] from squared distances to class means; calibrated by one temperature."""

    slope: Tensor

    def __init__(self, dimension: int, classes: int) -> None:
        super().__init__()
        self.means = nn.Parameter(functional.normalize(torch.randn(classes, dimension), dim=1))
        self.register_buffer("slope", torch.ones(()))

    def forward(self, embeddings: Tensor) -> Tensor:
        # On the unit sphere |e - m|^2 = 2 - 2 e.m, without the rounding of a difference.
        return _SCALE * (embeddings @ functional.normalize(self.means, dim=1).T - 1.0)

    def scores(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities [rows, classes]."""
        return functional.softmax(logits * self.slope, dim=1)

    @torch.no_grad()
    def fit(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> None:
        """The weighted mean of each class, in double precision."""
        sums = torch.zeros(self.means.shape, dtype=torch.float64)
        sums.index_add_(0, labels, embeddings.double() * weights.double()[:, None])
        self.means.copy_(functional.normalize(sums, dim=1))

    def calibrate(self, logits: Tensor, labels: Tensor) -> None:
        """Fit the temperature on rows that the means have not seen."""
        found = Temperature.fit(logits.detach().double().numpy(), labels.numpy())
        self.slope.fill_(1.0 / found.temperature)


def build(dimension: int, classes: int, options: Options) -> PrototypeHead:
    """No options."""
    options.done()
    return PrototypeHead(dimension, classes)
