"""Each batch is a small exam: a few classes, a few examples of each, and questions. Prototypical networks.

**Pulls together:** a question and the mean of its own class's examples.
**Pushes apart:** a question and the means of the other classes of the episode.
**Formula:**

    c_k = mean of the examples (shots) of class k
    loss = mean over questions q of -log( exp(-|q - c_y|^2 / T) / sum over k of exp(-|q - c_k|^2 / T) )

Training looks like the use: classes that nobody has trained on, a handful of examples of each. An episode has `ways`
classes with `shots` + `queries` rows each, whatever `train.batch_size` is; more ways than the later use will have are
better. Classes with fewer rows take no part.
**Prefer it:** for few-shot work, with many classes and few rows of each: on Omniglot (small), 20 ways and 1 shot of
alphabets not trained on, 0.954 (0.938 at least; docs/benchmarks.md).
**Wrong:** with few classes and many rows, where `supcon` or `cross_entropy` learn more from the same time; and where a
class is several clouds, whose mean lies in none of them.
**Cost:** an episode of n rows: n times ways. Measured: 2.1 ms of CPU time for 256 rows of 32 classes beside the
encoder's (docs/benchmarks.md).
**Source:** Snell, Swersky & Zemel 2017, arXiv 1703.05175 (there T = 1 and embeddings of any length; ours have length
1, so a T of about 0.1 takes the place of their growing).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from backstay.train.objectives.contract import EmbeddingObjective, Problem
from backstay.train.options import Options


def prototypical_loss(embeddings: Tensor, labels: Tensor, weights: Tensor, shots: int, temperature: float) -> Tensor:
    """The module's formula: the first `shots` rows of a class are its examples, its other rows are questions.

    Args:
        embeddings: [n, d].
        labels: class codes [n]; negative ones are left out. A class without a question is only answered with.
        weights: of each row [n]: of questions in the mean over them, of examples in the mean of their class.
    """
    known = labels >= 0
    embeddings, labels, weights = embeddings[known], labels[known], weights[known]
    if len(labels) == 0:
        return embeddings.sum()
    _, codes = torch.unique(labels, return_inverse=True)
    member = functional.one_hot(codes).to(embeddings.dtype)
    rank = (member.cumsum(dim=0) * member).sum(dim=1)
    support = rank <= shots
    held = member * (weights * support)[:, None]
    prototypes = held.T @ embeddings / held.sum(dim=0).clamp(min=1e-12)[:, None]
    squares = (
        embeddings.square().sum(dim=1)[:, None]
        + prototypes.square().sum(dim=1)[None, :]
        - 2.0 * embeddings @ prototypes.T
    )
    each = functional.cross_entropy(-squares / temperature, codes, reduction="none")
    share = weights * ~support
    return (each * share).sum() / share.sum().clamp(min=1e-12)


class Prototypical(EmbeddingObjective):
    """`prototypical_loss` of episodes."""

    sampler: ClassVar[str] = "episodes"

    def __init__(self, ways: int, shots: int, queries: int, temperature: float) -> None:
        super().__init__()
        self.episode = (ways, shots + queries)
        self.shots = shots
        self.temperature = temperature

    def of(self, embeddings: tuple[Tensor, ...], labels: Tensor, weights: Tensor) -> Tensor:
        return prototypical_loss(embeddings[0], labels, weights, self.shots, self.temperature)


def build(options: Options, _: Problem) -> Prototypical:
    """Options: `ways` (20), `shots` (5), `queries` (5), `temperature` (train.temperature)."""
    ways = options.whole("ways", 20, low=2)
    shots = options.whole("shots", 5, low=1)
    queries = options.whole("queries", 5, low=1)
    temperature = options.number("temperature", 0.1, low=1e-3)
    options.done()
    return Prototypical(ways, shots, queries, temperature)
