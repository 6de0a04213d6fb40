"""Nearest prototype: a class is the mean of its embeddings, and a row belongs to the class whose mean is nearest.

The score of class c is the softmax over -|e - m_c|^2 / T, with e and every mean m_c on the unit sphere and the
temperature T fitted on the tune part.
**Prefer it:** with few rows a class, and where classes are to be added by examples (docs/heads.md).
**Wrong:** where a class is several clouds apart from each other.
**Cost:** one mean a class: classes x dimension products a row.
**Source:** Snell, Swersky & Zemel 2017, arXiv 1703.05175.
**Options:** none_of_these (0) is the share of rows of known classes that may be called none of them; with it a row
that lies too far from every mean is answered none_label ("none of these"), and only means that are near enough vote.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.bundle.heads import ExampleHead
from backstay.maths.calibrate import Temperature
from backstay.train.heads.examples import NEVER, ByExamples, even_share, none_options
from backstay.train.options import Options

_SCALE = 8.0


class PrototypeHead(ByExamples):
    """Logits [rows, classes] from squared distances to class means; calibrated by one temperature."""

    slope: Tensor
    even: Tensor

    def __init__(self, dimension: int, classes: int, none_of_these: float = 0.0, none_label: str = "") -> None:
        super().__init__(none_of_these, none_label)
        self.means = nn.Parameter(functional.normalize(torch.randn(classes, dimension), dim=1))
        self.voters = classes
        self.register_buffer("slope", torch.ones(()))
        self.register_buffer("even", torch.zeros(()))

    def forward(self, embeddings: Tensor) -> Tensor:
        # On the unit sphere |e - m|^2 = 2 - 2 e.m, without the rounding of a difference.
        return _SCALE * (embeddings @ self.points().T - 1.0)

    def points(self) -> Tensor:
        """The means [classes, dimension]."""
        return functional.normalize(self.means, dim=1)

    def scores(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities [rows, classes]; only means that hold a row vote on it, where there is a limit."""
        return self._votes(logits) * (1.0 - self.even) + self.even / logits.shape[1]

    def _votes(self, logits: Tensor) -> Tensor:
        voting = self.voting(logits / _SCALE + 1.0)
        sharpened = logits * self.slope
        return functional.softmax(sharpened if voting is None else sharpened.masked_fill(~voting, NEVER), dim=1)

    @torch.no_grad()
    def fit(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> None:
        """The weighted mean of each class, in double precision."""
        sums = torch.zeros(self.means.shape, dtype=torch.float64)
        sums.index_add_(0, labels, embeddings.double() * weights.double()[:, None])
        self.means.copy_(functional.normalize(sums, dim=1))

    def calibrate(self, logits: Tensor, labels: Tensor) -> None:
        """Fit the temperature, and the even share where there is a limit, on rows that the means have not seen."""
        found = Temperature.fit(logits.detach().double().numpy(), labels.numpy())
        self.slope.fill_(1.0 / found.temperature)
        if self.limit is not None:
            self.even.fill_(even_share(self._votes(logits), labels))

    def exported(self, classes: tuple[str, ...]) -> ExampleHead:
        """The means and the temperature."""
        return ExampleHead(
            kind="prototype",
            points=self.points().detach().numpy(),
            owners=np.arange(len(classes)),
            log_weights=np.zeros(len(classes), dtype=np.float32),
            classes=classes,
            sharpness=_SCALE * float(self.slope),
            neighbours=0,
            even=float(self.even),
            limits=self.limits(),
            none_label=self.answer_beyond,
        )


def build(dimension: int, classes: int, options: Options) -> PrototypeHead:
    """Options: none_of_these, none_label."""
    share, label = none_options(options)
    options.done()
    return PrototypeHead(dimension, classes, share, label)
