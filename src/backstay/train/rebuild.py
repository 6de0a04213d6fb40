"""Rows rebuilt from their embeddings: what an objective that reconstructs has learned, kept beside the network."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from backstay.kernel.errors import BackstayError
from backstay.train.decoders import Decoder


class Rebuild(nn.Module):
    """What the decoder tells of unit embeddings [n, d].

    Args:
        code: from the embedding, brought to length sqrt(d), to what the decoder takes.
    """

    def __init__(self, decoder: Decoder, code: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder
        self.code = code

    def forward(self, embeddings: Tensor) -> tuple[Tensor, ...]:
        told: tuple[Tensor, ...] = self.decoder(self.code(embeddings.float() * embeddings.shape[1] ** 0.5))
        return told

    def misfit(self, embeddings: Tensor, tensors: tuple[Tensor, ...]) -> Tensor:
        """How far each row is from what is told of it [n]."""
        return self.decoder.misfit(self(embeddings), tensors)


@runtime_checkable
class Rebuilding(Protocol):
    """An objective with a decoder."""

    def rebuild(self) -> Rebuild: ...


def rebuild_of(objective: object, name: str, wanted: str, *, frozen: bool) -> Rebuild:
    """The objective's decoder, sharing its weights.

    Args:
        wanted: the setting that asks for it. frozen: whether the encoder is.

    Raises:
        BackstayError: the objective `name` has no decoder, or it would not learn, as under a frozen encoder.
    """
    if frozen:
        raise BackstayError(
            f"{wanted} rebuilds rows, and beside an encoder that stays as it is no decoder is trained",
            fix="set train.freeze = false, or take an encoder that learns",
        )
    if isinstance(objective, Rebuilding):
        return objective.rebuild()
    raise BackstayError(
        f"{wanted} rebuilds rows, and the objective {name!r} does not learn to",
        fix='set train.objective = "denoising" or "variational"',
    )
