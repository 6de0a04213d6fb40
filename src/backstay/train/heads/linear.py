"""A linear head over unit embeddings, and the calibration of its scores on the tune part.

P(class | z) = softmax(W z + b), multinomial logistic regression on the embedding z: fitted to frozen embeddings with a
ridge, or trained with the encoder under `cross_entropy`. Then scores are calibrated: Platt's map for two classes, one
temperature for more.
**Prefer it:** first: where all classes are known and have rows enough, it reads most out of the embedding.
**Wrong:** where classes come later or may be "none of these" (`prototype`, `knn`); where a class is several clouds
that no plane parts.
**Cost:** a row: classes x dimension products.
**Source:** Cox 1958; calibration: Platt 1999, Guo et al. 2017 (ICML).
**Options:** `ridge` is the pull on the weights of a head that is fitted on frozen embeddings. Where it is not given,
that of 0.001, 0.0001, ... 0.0000001 is taken with which the calibrated log loss of the tune part is least (0.0001
where the tune part has fewer than 20 rows of known classes). A space learned without labels needs a weak pull.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.kernel.errors import BackstayError
from backstay.maths.calibrate import Platt, Temperature
from backstay.train.options import Options

OF_EXAMPLES = ("none_of_these", "none_label")
_SCALE = 8.0
_RIDGE = 1e-4
RIDGES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
"""From the strongest pull to the weakest: each fit begins where the one before it ended."""
_LEAST_TO_CHOOSE = 20
_STEPS = 100


class LinearHead(nn.Module):
    """Logits [rows, classes], and calibrated probabilities of them: Platt's map for two classes, else temperature."""

    slope: Tensor
    offset: Tensor

    def __init__(self, dimension: int, classes: int, ridge: float | None = None) -> None:
        super().__init__()
        self.given = ridge
        self.ridge = _RIDGE if ridge is None else ridge
        self.linear = nn.Linear(dimension, classes)
        with torch.no_grad():
            # Unit embeddings need weights of some size before a softmax over them can be sure of anything.
            self.linear.weight.mul_(_SCALE)
        self.binary = classes == 2
        self.register_buffer("slope", torch.ones(()))
        self.register_buffer("offset", torch.zeros(()))

    def forward(self, embeddings: Tensor) -> Tensor:
        logits: Tensor = self.linear(embeddings)
        return logits

    def scores(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities [rows, classes]."""
        if self.binary:
            positive = torch.sigmoid(self.slope * (logits[:, 1:] - logits[:, :1]) + self.offset)
            return torch.cat([1.0 - positive, positive], dim=1)
        return functional.softmax(logits * self.slope, dim=1)

    def fit(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Multinomial logistic regression on frozen embeddings: convex, by L-BFGS in double precision."""
        self._take(*self._fitted(embeddings, labels, weights, self.ridge, self._zeros()))

    def fit_choosing(
        self, embeddings: Tensor, labels: Tensor, weights: Tensor, held_out: Tensor, held_labels: Tensor
    ) -> None:
        """As `fit`, with the ridge that answers rows best which the weights have not seen, unless one was given.

        Args:
            held_out, held_labels: embeddings and class codes of the tune part; of equals the strongest ridge is taken.
        """
        if self.given is not None or len(held_labels) < _LEAST_TO_CHOOSE:
            self.fit(embeddings, labels, weights)
            return
        found, start = [], self._zeros()
        for ridge in RIDGES:
            start = self._fitted(embeddings, labels, weights, ridge, start)
            self._take(*start)
            found.append((self._calibrated_loss(held_out, held_labels), ridge, start))
        _, self.ridge, best = min(found, key=lambda one: one[0])
        self._take(*best)
        self._map(1.0, 0.0)

    def _zeros(self) -> tuple[Tensor, Tensor]:
        shapes = (self.linear.weight.shape, self.linear.bias.shape)
        return torch.zeros(shapes[0], dtype=torch.float64), torch.zeros(shapes[1], dtype=torch.float64)

    def _fitted(
        self, embeddings: Tensor, labels: Tensor, weights: Tensor, ridge: float, start: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        x, w = embeddings.double(), weights.double() / weights.double().sum()
        weight, bias = (t.clone().requires_grad_() for t in start)
        optimiser = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimiser.zero_grad()
            each = functional.cross_entropy(x @ weight.T + bias, labels, reduction="none")
            loss = (each * w).sum() + ridge * weight.square().sum()
            loss.backward()  # type: ignore[no-untyped-call] # torch does not annotate it
            return loss

        optimiser.step(closure)  # type: ignore[no-untyped-call] # torch does not annotate it
        return weight.detach(), bias.detach()

    @torch.no_grad()
    def _take(self, weight: Tensor, bias: Tensor) -> None:
        self.linear.weight.copy_(weight)
        self.linear.bias.copy_(bias)

    @torch.no_grad()
    def _calibrated_loss(self, embeddings: Tensor, labels: Tensor) -> float:
        logits = self.forward(embeddings)
        self.calibrate(logits, labels)
        chances = self.scores(logits).double().gather(1, labels[:, None])
        return float(-chances.clamp(min=1e-12).log().mean())

    def calibrate(self, logits: Tensor, labels: Tensor) -> None:
        """Fit the map from logits to probabilities on rows that the weights have not seen."""
        values, codes = logits.detach().double().numpy(), labels.numpy()
        if self.binary:
            platt = Platt.fit(values[:, 1] - values[:, 0], codes.astype(np.float64))
            slope, offset = platt.slope, platt.intercept
        else:
            slope, offset = 1.0 / Temperature.fit(values, codes).temperature, 0.0
        self._map(slope, offset)

    def _map(self, slope: float, offset: float) -> None:
        self.slope.fill_(slope)
        self.offset.fill_(offset)


def build(dimension: int, classes: int, options: Options) -> LinearHead:
    """Options: `ridge`, the pull on the weights of a head that is fitted on frozen embeddings."""
    ridge = options.number("ridge", _RIDGE, low=0, high=1)
    for name in OF_EXAMPLES:
        if options.given(name):
            raise BackstayError(
                f"train.head_options.{name} is of heads that are made of examples, and the head is linear",
                fix='set train.head = "knn" or "prototype"',
            )
    options.done()
    return LinearHead(dimension, classes, ridge if options.given("ridge") else None)
