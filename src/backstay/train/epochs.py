"""An encoder that learns classes, or by itself: its objective's batches, and the head that is made when it has."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from backstay.kernel.ports import Progress
from backstay.settings import TrainSettings
from backstay.train.augment import checked
from backstay.train.course import Course, run_course
from backstay.train.fitted import prepare
from backstay.train.heads.examples import ByExamples
from backstay.train.heads.linear import LinearHead
from backstay.train.held_out import Look
from backstay.train.network import Network, embed, told
from backstay.train.objectives.contract import Batch, Objective
from backstay.train.pairs import JudgedPairs
from backstay.train.part import Part
from backstay.train.quarter_turns import turned
from backstay.train.samplers import batches


class Learner(nn.Module):
    """All that training changes: the network, and what the objective learns of its own."""

    def __init__(self, network: Network, objective: Objective, pairs: JudgedPairs | None = None) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        self.pairs = pairs

    def loss(self, batch: Batch) -> Tensor:
        """The objective's, and that of judged pairs where there are some."""
        loss = self.objective.loss(self.network, batch)
        return loss if self.pairs is None else loss + self.pairs.loss(self.network, batch)


def run_epochs(
    network: Network,
    objective: Objective,
    train: Part,
    tune: Part,
    recipe: TrainSettings,
    *,
    saved: Path,
    progress: Progress,
    pairs: JudgedPairs | None = None,
) -> list[dict[str, float]]:
    """Train until the tune part shows no progress; the best epoch's weights stay. Answers the figures of each epoch.

    Raises:
        BackstayError: the loss is not finite, or the encoder has collapsed.
    """
    prepare(network, train.tensors, train.weights, recipe, progress)
    train = train.labelled() if objective.needs_labels else train
    learner = Learner(network, objective, pairs)
    look = Look.of(train, tune, objective, recipe)
    taught = turned(train) if recipe.quarter_turns else train
    changes = checked(recipe.augmentation_options, network.kind, recipe.flip)

    def loss(rows: Tensor, generator: torch.Generator, device: torch.device) -> Tensor:
        batch = Batch(
            tuple(t[rows].to(device) for t in taught.tensors),
            taught.labels[rows].to(device),
            taught.weights[rows].to(device),
            generator,
            recipe.augmentation,
            recipe.cached_rows,
            network.kind,
            changes,
            None if taught.aims is None else taught.aims[rows].to(device),
        )
        return learner.loss(batch)

    def order(generator: torch.Generator) -> list[Tensor]:
        return batches(objective, taught.labels, recipe.batch_size, recipe.samples_per_class, generator)

    course = Course(
        network,
        learner,
        len(taught),
        partial(_seed, recipe),
        order,
        loss,
        partial(look.figures, network, objective),
        objective.collapsed_loss(),
    )
    history = run_course(course, recipe, saved=saved, progress=progress)
    _finish(network, objective, train.labelled(), tune.labelled())
    if network.frozen and objective.trains_head:  # its figures are those of the head that was fitted, not of its steps
        history[-1].update(look.figures(network, objective))
    return history


def _seed(recipe: TrainSettings, epoch: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{recipe.seed}/{epoch}".encode()).digest()[:7], "big")


def _finish(network: Network, objective: Objective, train: Part, tune: Part) -> None:
    """The head: fitted on frozen embeddings unless it has learned already, and calibrated on the tune part."""
    held_out = embed(network, tune.tensors)
    if network.frozen or not objective.trains_head:
        known = (embed(network, train.tensors), train.labels, train.weights)
        if isinstance(network.head, LinearHead):
            network.head.fit_choosing(*known, held_out, tune.labels)
        else:
            network.head.fit(*known)  # type: ignore[operator] # a head of the shelf has `fit`
    if isinstance(network.head, ByExamples):
        network.head.bound(held_out)
    logits = told(network, held_out, tune.tensors)
    network.head.calibrate(logits, tune.labels)  # type: ignore[operator] # a head of the shelf has `calibrate`
