"""Encoder and head learn together to give each row's class a high probability.

**Pulls together:** a row and the weights that the head has for its class.
**Pushes apart:** a row and the weights of all other classes, the more the surer the head is of them.
**Formula:**

    loss = mean of -log p(class of the row),  p = softmax(W z + b)

With `label_smoothing` e > 0 the target is 1 - e of the class and e spread over all classes, which keeps probabilities
from extremes.
**Prefer it:** first, where every row has a label and the classes are those that will be asked for.
**Wrong:** where classes come later, or neighbours and search are what counts: it asks only that classes can be parted
by planes (`supcon`). Under the heads `knn` and `anomaly`, which are made of examples, it is refused.
**Cost:** n rows and k classes: n k products. Measured: 1.3 ms of CPU time for 256 rows beside the encoder's
(docs/benchmarks.md).
**Source:** the likelihood of multinomial logistic regression; smoothing: Szegedy et al. 2016, arXiv 1512.00567.
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
