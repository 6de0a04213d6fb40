"""Rows and a recipe in, a bundle out, for an encoder that answers sets of labels: the twin of `value_loop.fit`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backstay.bundle.manifest import InputSpec, OutputSpec
from backstay.bundle.model import Outputs
from backstay.bundle.sets import members
from backstay.kernel.records import Task
from backstay.maths.arrays import BoolArray, FloatArray
from backstay.maths.thresholds import best_f1_thresholds
from backstay.settings import TrainSettings
from backstay.train.direct_run import Target, run
from backstay.train.examples import Profile
from backstay.train.network import Network, embed
from backstay.train.network_run import PARITY, largest_gap
from backstay.train.set_network import build_sets, export_sets, loss_of
from backstay.train.sets import refuse_few, set_figures
from backstay.train.work import Trained, Work, takes


@takes(Work)
def fit(work: Work) -> Trained:
    """Train on `parts["train"]`, stop early and choose each label's cut on `parts["tune"]`, write a bundle.

    A run that was killed goes on from its last epoch and ends at the same model id. Arguments: `train.work.Work`.

    Raises:
        BackstayError: an objective or head of classes, a label that no row of weight has, too few rows, a loss that is
            not finite, a collapsed encoder, or an export that answers otherwise than torch.
    """
    there, loss = members(work.target.to_pylist(), work.classes), loss_of(work.recipe)
    train_rows, tune_rows = work.weighty()
    refuse_few(there[train_rows], len(tune_rows), work.classes)
    aim = _Aim(work.classes, there[train_rows].mean(axis=0), there[tune_rows])
    return run(work, Target(Task.MULTILABEL, aim, loss, there.astype(np.float64)), train_rows, tune_rows)


@dataclass(frozen=True, slots=True, eq=False)
class _Aim:
    """The labels, the share of training rows that has each, and the sets of the tune part."""

    classes: tuple[str, ...]
    shares: FloatArray
    tuned: BoolArray

    def network(self, profile: Profile, recipe: TrainSettings) -> Network:
        return build_sets(profile, recipe, self.shares)

    def answer(self, network: Network, profile: Profile, tune: tuple[Tensor, ...]) -> _Answer:
        scores = _scores(network, embed(network, tune))
        thresholds = best_f1_thresholds(scores, self.tuned)
        return _Answer(network, profile, thresholds, set_figures(scores, self.tuned, thresholds, self.classes))


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """What was trained, and the cut of each label."""

    network: Network
    profile: Profile
    thresholds: FloatArray
    figures: dict[str, Any]

    def graph(self, example: tuple[Tensor, ...]) -> tuple[bytes, tuple[InputSpec, ...], tuple[OutputSpec, ...]]:
        return export_sets(self.network, self.profile, example, self.thresholds)

    def apart(self, said: Outputs, tensors: tuple[Tensor, ...], embeddings: Tensor) -> tuple[float, int]:
        """The sets must be the same, but for scores as near to their cut as the two may differ."""
        scores = _scores(self.network, embeddings)
        if said.members is None:
            return float("inf"), 0
        other = (said.members != (scores >= self.thresholds)) & (np.abs(scores - self.thresholds) > PARITY)
        return largest_gap(said.scores, scores), int(other.sum())


@torch.no_grad()
def _scores(network: Network, embeddings: Tensor) -> FloatArray:
    found: Tensor = network.head.scores(network.head(embeddings))  # type: ignore[operator] # as in Network
    return np.asarray(found.double().numpy(), dtype=np.float64)
