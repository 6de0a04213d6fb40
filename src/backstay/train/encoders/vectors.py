"""Vectors that were computed elsewhere (bought embeddings, a sensor's spectrum) as the input.

Each number is standardised by the training rows; then comes a net of `layers` linear layers (128 wide, LayerNorm and
ReLU between), whose output of `train.dimension` numbers is brought to length 1. With `layers = 0` nothing is learned
but the head, which is fitted at once: the embedding is the vector itself at length 1, so that an index of such vectors
stays valid. Untrained it is the same function, so that the control `random_encoder` is left out.
**Prefer it:** where embeddings of a service or a foundation model are at hand, and classes are few labels away.
`layers = 1` is a linear map (a learned metric); 2 can bend. The control `raw_knn` measures the same vectors without
any training.
**Wrong:** where vectors come from different versions of a service; their distances then mean nothing, and `watch` will
say that all has moved.
**Cost:** that of a small MLP; none with `layers = 0`.
**Source:** the usual practice; a learned linear metric: Goldberger et al. 2004 (neighbourhood components).
**Options:** layers = 2 (0 to 8), width = 128. With `layers = 0`, `train.dimension` is the length of the vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.kernel.errors import BackstayError
from backstay.train.examples import Profile
from backstay.train.options import Options


class VectorEncoder(nn.Module):
    """Takes standardised vectors float32 [rows, length]; answers embeddings [rows, dimension]."""

    def __init__(self, length: int, dimension: int, layers: int, width: int) -> None:
        super().__init__()
        sizes = [length, *[width] * (layers - 1), dimension]
        body: list[nn.Module] = []
        for place in range(layers):
            body.append(nn.Linear(sizes[place], sizes[place + 1]))
            if place < layers - 1:
                body += [nn.LayerNorm(width), nn.ReLU()]
        self.body = nn.Sequential(*body)

    def forward(self, vectors: Tensor) -> Tensor:
        return functional.normalize(self.body(vectors), dim=1)


class AsGiven(nn.Module):
    """The vectors as they were before they were standardised, at length 1."""

    means: Tensor
    deviations: Tensor

    def __init__(self, means: Tensor, deviations: Tensor) -> None:
        super().__init__()
        self.register_buffer("means", means.float())
        self.register_buffer("deviations", deviations.float())

    def forward(self, vectors: Tensor) -> Tensor:
        if self.training and not vectors.requires_grad:
            # An objective that does not train the head has nothing to move here; its gradient needs an end anyhow.
            vectors = vectors.clone().requires_grad_()
        return functional.normalize(vectors * self.deviations + self.means, dim=1)


def build(profile: Profile, dimension: int, options: Options) -> nn.Module:
    """The encoder for this profile's vectors."""
    if not profile.vector:
        raise BackstayError(
            'the encoder "vectors" reads one vector column, and these features hold none',
            fix='declare the column: data.columns.NAME = "vector", and name it alone in data.features',
        )
    layers = options.whole("layers", 2, low=0, high=8)
    width = options.whole("width", 128, low=1, high=4096)
    options.done()
    length = profile.shape[0]
    if layers:
        return VectorEncoder(length, dimension, layers, width)
    if dimension != length:
        raise BackstayError(
            f"with layers = 0 the embedding is the vector itself, {length} numbers; train.dimension is {dimension}",
            fix=f"set train.dimension = {length}",
        )
    return AsGiven(torch.tensor(profile.means), torch.tensor(profile.deviations))
