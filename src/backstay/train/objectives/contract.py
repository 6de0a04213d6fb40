"""What an objective is: a loss over a batch of rows, with whatever it learns of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from backstay.train.augment import augment
from backstay.train.augmentations.images import USUAL, Changes
from backstay.train.examples import Profile
from backstay.train.network import Network


@dataclass(frozen=True)
class Batch:
    """Rows of one step.

    Args:
        tensors: as the encoder takes them, unchanged.
        labels: class codes [n], -1 where unlabelled.
        weights: of each row [n].
        generator: for all that is random.
        strength: of the augmentation; 0 leaves rows as they are.
        cached_rows: most rows whose computation is held in memory at once; 0 holds the whole batch.
        kind: of rows, as `train.augment` knows them.
        changes: which ones augmentation makes to images.
        aims: a teacher's embeddings of the unchanged rows [n, d], where there is a teacher.
    """

    tensors: tuple[Tensor, ...]
    labels: Tensor
    weights: Tensor
    generator: torch.Generator
    strength: float = 1.0
    cached_rows: int = 0
    kind: str = "table"
    changes: Changes = USUAL
    aims: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def view(self) -> tuple[Tensor, ...]:
        """A fresh augmented copy of `tensors`."""
        return augment(self.tensors, self.generator, self.strength, self.kind, self.changes)


@dataclass(frozen=True)
class Problem:
    """What an objective may need to know when it is built.

    Args:
        dimension: of embeddings.
        classes: how many there are.
        taught: numbers in a teacher's embeddings; 0 without a teacher.
    """

    profile: Profile
    dimension: int
    classes: int
    taught: int = 0


class Objective(nn.Module):
    """A training loss, with whatever it learns of its own (a decoder, class centres).

    Its parameters are trained beside the network's and are not exported.

    `trains_head`: the head learns with the encoder; otherwise it is fitted on frozen embeddings afterwards.
    `needs_labels`: where False, unlabelled rows (label -1) are learned from as well.
    `sampler`: "shuffled", "balanced" (k rows a class a batch) or "episodes" (see train.samplers).
    `needs_partners`: there is nothing to learn where every labelled row is alone in its class.
    `episode`: classes an episode and rows of each, for the sampler "episodes".
    """

    trains_head: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    needs_partners: ClassVar[bool] = False
    sampler: ClassVar[str] = "shuffled"
    episode: tuple[int, int] = (5, 2)

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """The scalar to minimise over this batch; 0 with a graph where the batch cannot teach anything."""
        raise NotImplementedError

    def collapsed_loss(self) -> float | None:
        """The loss of an encoder that answers one point for every row, where that is a known number."""
        return None


class EmbeddingObjective(Objective):
    """An objective that looks at nothing but embeddings of `views` augmented copies of the batch."""

    views: ClassVar[int] = 1

    def loss(self, network: Network, batch: Batch) -> Tensor:
        embeddings = tuple(embed_view(network, batch) for _ in range(self.views))
        return self.of(embeddings, batch.labels, batch.weights)

    def of(self, embeddings: tuple[Tensor, ...], labels: Tensor, weights: Tensor) -> Tensor:
        """The loss of `views` tensors [n, d] of unit embeddings, class codes [n] and weights [n]."""
        raise NotImplementedError


def embed_view(network: Network, batch: Batch) -> Tensor:
    """Embeddings [n, d] of one augmented copy of the batch, with a graph; in chunks where `cached_rows` says so.

    In chunks, the forward pass keeps embeddings only, and the backward pass computes one chunk at a time again with
    the same random state: the gradients are those of the whole batch, at the memory of a chunk and one more forward
    pass (GradCache, Gao et al. 2021, arXiv 2101.06983). Batch normalisation sees a chunk at a time.
    """
    tensors = batch.view()
    rows = len(tensors[0])
    if not 0 < batch.cached_rows < rows:
        return encode(network, *tensors)
    pieces = pieces_of(torch.arange(rows), batch.cached_rows)
    return torch.cat(
        [
            checkpoint(
                encode,
                network,
                *(t[piece[0] : piece[-1] + 1] for t in tensors),
                use_reentrant=False,
                preserve_rng_state=True,
                context_fn=lambda: (nullcontext(), _still(network)),
            )
            for piece in pieces
        ]
    )


def pieces_of(order: Tensor, size: int) -> list[Tensor]:
    """Rows in this order, `size` at a time; too few left to have statistics of their own join the ones before."""
    pieces = list(torch.split(order, size))
    if len(pieces) > 1 and len(pieces[-1]) < min(size, 16):
        pieces[-2:] = [torch.cat(pieces[-2:])]
    return pieces


def encode(network: Network, *tensors: Tensor) -> Tensor:
    """Embeddings of these very rows, with a graph.

    Half precision on a GPU, and on a CPU where the recipe asks for it; the loss always has float32.
    """
    half: AbstractContextManager[object] = nullcontext()
    if tensors[0].is_cuda or network.half_precision:
        half = torch.autocast(tensors[0].device.type, dtype=torch.bfloat16)
    with half:
        embeddings: Tensor = network.encoder(*tensors)
    return embeddings.float() if embeddings.dtype == torch.bfloat16 else embeddings


@contextmanager
def _still(network: Network) -> Iterator[None]:
    """Running statistics stay as the first pass left them while a chunk is computed again."""
    norms = [(m, m.momentum) for m in network.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    for norm, _ in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in norms:
            norm.momentum = momentum
