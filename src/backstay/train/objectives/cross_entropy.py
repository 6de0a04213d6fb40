"""Encoder and head learn together to give each row's class a high probability.

    loss = mean of -log p(class of the row)

Pulls a row towards the weights of its class and away from those of all others. The first choice where every row has
a label and the classes are those that will be asked for. Cost a batch of n rows and k classes: n times k. Source: the
likelihood of multinomial logistic regression.

With `label_smoothing` > 0 the target is a mixture with all classes alike (Szegedy et al. 2016, arXiv 1512.00567),
which keeps probabilities from extremes.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from backstay.train.network import Network
from backstay.train.objectives.contract import Batch, Objective, Problem, embed_view
from backstay.train.options import Options


def cross_entropy_loss(logits: Tensor, labels: Tensor, weights: Tensor, smoothing: float = 0.0) -> Tensor:
    """Weighted mean of -log p(class); logits [n, k], class codes [n], weights [n]."""
    each = functional.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    return (each * weights).sum() / weights.sum().clamp(min=1e-12)


class CrossEntropy(Objective):
    """`cross_entropy_loss` of the head's logits."""

    trains_head: ClassVar[bool] = True

    def __init__(self, smoothing: float = 0.0) -> None:
        super().__init__()
        self.smoothing = smoothing

    def loss(self, network: Network, batch: Batch) -> Tensor:
        logits = network.head(embed_view(network, batch))
        return cross_entropy_loss(logits, batch.labels, batch.weights, self.smoothing)


def build(options: Options, _: Problem) -> CrossEntropy:
    """Options: `label_smoothing` (0)."""
    smoothing = options.number("label_smoothing", 0.0, low=0.0, high=0.9)
    options.done()
    return CrossEntropy(smoothing)
