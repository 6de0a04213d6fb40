"""Rows and a recipe in, a bundle out, for an encoder that answers a number: the twin of `train.loop.fit`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backstay.bundle.manifest import InputSpec, OutputSpec
from backstay.bundle.model import Outputs
from backstay.bundle.numbers import target_values
from backstay.kernel.records import Task
from backstay.maths.arrays import FloatArray
from backstay.settings import TrainSettings
from backstay.train.direct_run import Target, run
from backstay.train.examples import Profile
from backstay.train.network import Network, embed
from backstay.train.network_run import largest_gap
from backstay.train.value_network import build_value, export_value, loss_of
from backstay.train.values import Scale
from backstay.train.work import Trained, Work, takes


@takes(Work)
def fit(work: Work) -> Trained:
    """Train on `parts["train"]`, stop early on `parts["tune"]`, write a bundle. Arguments: `train.work.Work`.

    A run that was killed goes on from its last epoch and ends at the same model id.

    Raises:
        BackstayError: an objective or head of classes, a target that is not numbers, too few rows, a loss that is not
            finite, a collapsed encoder, or an export that answers otherwise than torch.
    """
    y, loss = target_values(work.target, str(work.schema.target)), loss_of(work.recipe)
    train_rows, tune_rows = work.weighty()
    scale = Scale.of(y[train_rows], len(tune_rows))
    target = Target(Task.REGRESSION, _Aim(scale, y[tune_rows]), loss, scale.down(y)[:, None])
    return run(work, target, train_rows, tune_rows)


@dataclass(frozen=True, slots=True, eq=False)
class _Aim:
    """The scale of the target, and its values in the tune part."""

    scale: Scale
    tuned: FloatArray

    def network(self, profile: Profile, recipe: TrainSettings) -> Network:
        return build_value(profile, recipe)

    def answer(self, network: Network, profile: Profile, tune: tuple[Tensor, ...]) -> _Answer:
        found = self.scale.up(_values(network, embed(network, tune)))
        return _Answer(network, profile, self.scale, {"tune_mae": float(np.mean(np.abs(found - self.tuned)))})


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """What was trained, and the scale of what it answers."""

    network: Network
    profile: Profile
    scale: Scale
    figures: dict[str, Any]

    def graph(self, example: tuple[Tensor, ...]) -> tuple[bytes, tuple[InputSpec, ...], tuple[OutputSpec, ...]]:
        return export_value(self.network, self.profile, example, self.scale)

    def apart(self, said: Outputs, tensors: tuple[Tensor, ...], embeddings: Tensor) -> tuple[float, int]:
        """As a share of the target's spread."""
        return largest_gap(said.numbers, self.scale.up(_values(self.network, embeddings))) / self.scale.spread, 0


@torch.no_grad()
def _values(network: Network, embeddings: Tensor) -> FloatArray:
    return np.asarray(network.head(embeddings)[:, 0].double().numpy(), dtype=np.float64)
