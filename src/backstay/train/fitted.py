"""Encoders whose weights are found from the training rows at once, before or instead of steps of training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backstay.kernel.ports import Progress
from backstay.settings import TrainSettings
from backstay.train.network import Network


class FittedEncoder(nn.Module):
    """An encoder that can `learn` without a gradient. `tune`: training goes on from there; else it stays as it is.

    `learned` says that it has, and goes with the weights: who begins with them does not learn anew.
    """

    learned: Tensor

    def __init__(self, tune: bool) -> None:
        super().__init__()
        self.tune = tune
        self.register_buffer("learned", torch.tensor(False))

    def learn(self, tensors: tuple[Tensor, ...], generator: torch.Generator) -> None:
        """Find the weights from rows [n, ...] as the encoder takes them, all chance by `generator`."""
        raise NotImplementedError


def is_to_learn(network: Network) -> bool:
    """Whether `prepare` will find weights, for which rows without labels serve as well."""
    return isinstance(network.encoder, FittedEncoder) and not bool(network.encoder.learned)


def learns_nothing(network: Network) -> bool:
    """Whether no training can move the encoder, so that the head alone is to be found."""
    if isinstance(network.encoder, FittedEncoder):
        return False
    return not any(weights.requires_grad for weights in network.encoder.parameters())


def prepare(
    network: Network, tensors: tuple[Tensor, ...], weights: Tensor, recipe: TrainSettings, progress: Progress
) -> None:
    """Let such an encoder learn from the rows of weight above 0, unless it has; freeze it unless it is to be tuned.

    An encoder without a weight to train is frozen too: its head is then fitted, not led there by steps. Others are
    left alone.
    """
    encoder = network.encoder
    if learns_nothing(network):
        network.freeze()
    if not isinstance(encoder, FittedEncoder):
        return
    if not bool(encoder.learned):
        with progress.step("prepare"):
            generator = torch.Generator().manual_seed(recipe.seed)
            encoder.learn(tuple(t[weights > 0] for t in tensors), generator)
            encoder.learned.fill_(True)
    if not encoder.tune:
        network.freeze()
