"""Nearest neighbours: the classes of the k nearest training rows vote, and the embeddings of these rows are the head.

The vote of a neighbour at cosine similarity s is exp(s / T) over the sum of all k; temperature = 0 counts heads
instead. The scores are the votes with a share of them spread evenly over the classes, fitted on the tune part by log
loss, so that a class without a neighbour is improbable and not impossible. Needs an objective that does not train the
head itself (`supcon`, where none is named).
**Prefer it:** where classes are made of several clouds, and where classes are to be added by examples (docs/heads.md).
**Wrong:** where classes are very unequal in number: common ones win the votes. Where embeddings of training rows may
not leave: whoever has the bundle has them.
**Cost:** the whole gallery is looked through for every row that is asked, some 0.05 ms of one core for 10,000 rows of
64 numbers (0.013 ms a row in batches of 256), and the bundle grows by 4 bytes a number.
**Source:** Fix & Hodges 1951; with softmax weights Wu et al. 2018.
**Options:** k (10); temperature (0.1; 0 counts votes); gallery (10000), the most rows that are kept: where there are
more, every class keeps as many as every other, or all that it has, picked at even steps in the order of the training
rows; none_of_these (0) and none_label ("none of these") as in the head `prototype`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.bundle.heads import ExampleHead
from backstay.train.heads.examples import NEVER, ByExamples, even_share, none_options
from backstay.train.options import Options

_BLOCK = 1024


class NeighbourHead(ByExamples):
    """Votes [rows, classes] of the nearest points of a gallery, and probabilities of them."""

    trainable = False
    owners: Tensor
    log_weights: Tensor
    even: Tensor

    def __init__(
        self,
        dimension: int,
        classes: int,
        *,
        k: int = 10,
        temperature: float = 0.1,
        most: int = 10_000,
        none_of_these: float = 0.0,
        none_label: str = "",
    ) -> None:
        super().__init__(none_of_these, none_label)
        self.classes, self.k, self.most, self.voters = classes, k, most, k
        self.sharpness = 1.0 / temperature if temperature else 0.0
        # A parameter, though no objective moves it: an encoder may have none, and there must be one to train.
        self.gallery = nn.Parameter(torch.zeros(0, dimension), requires_grad=False)
        self.register_buffer("owners", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("log_weights", torch.zeros(0))
        self.register_buffer("even", torch.zeros(()))

    def forward(self, embeddings: Tensor) -> Tensor:
        """The votes."""
        return torch.cat([self._votes(block) for block in torch.split(embeddings, _BLOCK)])

    def _votes(self, block: Tensor) -> Tensor:
        similarity, places = (block @ self.gallery.T).topk(min(self.k, len(self.gallery)), dim=1)
        logits = similarity * self.sharpness + self.log_weights[places]
        voting = self.voting(similarity)
        each = functional.softmax(logits if voting is None else logits.masked_fill(~voting, NEVER), dim=1)
        return block.new_zeros(len(block), self.classes).scatter_add(1, self.owners[places], each)

    def points(self) -> Tensor:
        """The gallery [m, dimension]."""
        return self.gallery

    def scores(self, logits: Tensor) -> Tensor:
        """Probabilities [rows, classes] of votes."""
        return logits * (1.0 - self.even) + self.even / self.classes

    @torch.no_grad()
    def fit(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Keep these rows, or as many of each class as the gallery has room for. Rows of weight 0 are left out."""
        there = torch.nonzero(weights > 0)[:, 0]
        kept = there[torch.from_numpy(balanced(labels[there].numpy(), self.most))]
        self.gallery.data, self.owners = embeddings[kept].clone(), labels[kept].clone()
        self.log_weights = weights[kept].log()

    def calibrate(self, logits: Tensor, labels: Tensor) -> None:
        """Fit the even share on rows that are not in the gallery."""
        self.even.fill_(even_share(logits, labels))

    def exported(self, classes: tuple[str, ...]) -> ExampleHead:
        """The gallery and how it votes."""
        return ExampleHead(
            kind="knn",
            points=self.gallery.detach().numpy(),
            owners=self.owners.numpy(),
            log_weights=self.log_weights.numpy(),
            classes=classes,
            sharpness=self.sharpness,
            neighbours=min(self.k, len(self.gallery)),
            even=float(self.even),
            limits=self.limits(),
            none_label=self.answer_beyond,
        )


def balanced(labels: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Places of at most `most` rows, in order: as many of each class as of every other, or all that it has.

    >>> balanced(np.array([0, 0, 0, 0, 0, 0, 1, 1]), 5).tolist()
    [0, 2, 5, 6, 7]
    """
    classes, counts = np.unique(labels, return_counts=True)
    if len(labels) <= most:
        return np.arange(len(labels))
    room, each = most, {}
    for left, place in enumerate(np.argsort(counts, kind="stable").tolist()):
        each[int(classes[place])] = min(int(counts[place]), room // (len(classes) - left))
        room -= each[int(classes[place])]
    chosen = [_at_even_steps(np.flatnonzero(labels == c), keep) for c, keep in each.items()]
    return np.sort(np.concatenate(chosen))


def _at_even_steps(places: npt.NDArray[np.int64], keep: int) -> npt.NDArray[np.int64]:
    return places[np.round(np.linspace(0, len(places) - 1, keep)).astype(np.int64)] if keep else places[:0]


def build(dimension: int, classes: int, options: Options) -> NeighbourHead:
    """Options: k, temperature, gallery, none_of_these, none_label."""
    k = options.whole("k", 10, low=1, high=1000)
    temperature = options.number("temperature", 0.1, low=0.0)
    most = options.whole("gallery", 10_000, low=2, high=1_000_000)
    share, label = none_options(options)
    options.done()
    return NeighbourHead(
        dimension, classes, k=k, temperature=temperature, most=most, none_of_these=share, none_label=label
    )
