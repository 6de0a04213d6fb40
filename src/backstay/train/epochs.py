"""The epochs: seeded batches, early stopping on the tune part, collapse figures, a checkpoint after each."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import Progress
from backstay.settings import TrainSettings
from backstay.train import checkpoint
from backstay.train.augment import augment
from backstay.train.collapse import COLLAPSED, collapse_figures
from backstay.train.network import Network, embed
from backstay.train.objectives import OBJECTIVES
from backstay.train.objectives.contract import Objective

_GRADIENT_NORM = 5.0
_COLLAPSED_EPOCHS = 2


@dataclass(frozen=True)
class Part:
    """Rows of one part, ready for torch."""

    tensors: tuple[Tensor, ...]
    labels: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def run_epochs(
    network: Network, train: Part, tune: Part, recipe: TrainSettings, *, saved: Path, progress: Progress
) -> list[dict[str, float]]:
    """Train until the tune loss stops falling; the best epoch's weights stay. Answers the figures of each epoch.

    Raises:
        BackstayError: the loss is not finite, or the encoder has collapsed.
    """
    objective: Objective = OBJECTIVES[recipe.objective](recipe)
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    best: checkpoint.State = _copy(network)
    history: list[dict[str, float]] = []
    found = checkpoint.restore(saved, network, optimiser)
    if found is not None:
        best, history = found[0], found[1]["history"]
    with progress.step("train", total=recipe.epochs) as tick:
        if history:
            tick(len(history), note="resumed")
        for epoch in range(len(history), recipe.epochs):
            if _stopped(history, recipe.patience):
                break
            loss = _epoch(network, objective, optimiser, train, recipe, epoch)
            figures = {"loss": loss, **_look(network, objective, train, tune, recipe)}
            history.append(figures)
            _refuse(history, epoch, recipe)
            if figures["tune_loss"] <= min(h["tune_loss"] for h in history):
                best = _copy(network)
            checkpoint.save(saved, network, optimiser, best, {"history": history})
            tick(1, note=f"loss {loss:.3f}, tune {figures['tune_loss']:.3f}")
    network.load_state_dict(best)
    if not objective.trains_head:
        network.head.fit(embed(network, train.tensors), train.labels, train.weights)  # type: ignore[operator] # a head of the shelf has `fit`
    with torch.no_grad():
        logits = network.head(embed(network, tune.tensors))
    network.head.calibrate(logits, tune.labels)  # type: ignore[operator] # a head of the shelf has `calibrate`
    return history


def _epoch(
    network: Network,
    objective: Objective,
    optimiser: torch.optim.Optimizer,
    train: Part,
    recipe: TrainSettings,
    epoch: int,
) -> float:
    network.train()
    seed = int.from_bytes(hashlib.sha256(f"{recipe.seed}/{epoch}".encode()).digest()[:7], "big")
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout; the caller puts the global generator back
    rate = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / recipe.epochs))
    for group in optimiser.param_groups:
        group["lr"] = rate
    batches = _batches(torch.randperm(len(train), generator=generator), recipe.batch_size)
    total = 0.0
    for rows in batches:
        embeddings = network.encoder(*augment(tuple(t[rows] for t in train.tensors), generator))
        loss = objective(embeddings, network.head(embeddings), train.labels[rows], train.weights[rows])
        if not math.isfinite(float(loss.detach())):
            raise BackstayError(
                f"the loss became {float(loss.detach())} in epoch {epoch + 1}",
                fix="lower train.learning_rate, or raise train.temperature",
            )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch does not annotate it
        torch.nn.utils.clip_grad_norm_(network.parameters(), _GRADIENT_NORM)
        optimiser.step()
        total += float(loss.detach()) * len(rows)
    return total / len(train)


def _batches(order: Tensor, size: int) -> list[Tensor]:
    """Batches in this order; a last one that is too small to have statistics of its own joins the one before."""
    batches = list(torch.split(order, size))
    if len(batches) > 1 and len(batches[-1]) < min(size, 16):
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


@torch.no_grad()
def _look(network: Network, objective: Objective, train: Part, tune: Part, recipe: TrainSettings) -> dict[str, float]:
    """Tune loss, and collapse figures of the tune embeddings."""
    held_out = embed(network, tune.tensors)
    if objective.trains_head:
        logits = network.head(held_out)
    else:
        logits = held_out @ _prototypes(embed(network, train.tensors), train).T / recipe.temperature
    loss = float(functional.cross_entropy(logits, tune.labels))
    deviation, rank = collapse_figures(held_out)
    accuracy = float((logits.argmax(dim=1) == tune.labels).double().mean())
    return {"tune_loss": loss, "tune_accuracy": accuracy, "feature_std": deviation, "effective_rank": rank}


def _prototypes(embeddings: Tensor, part: Part) -> Tensor:
    """The mean direction of each class [classes, dimension]."""
    classes = int(part.labels.max()) + 1
    sums = torch.zeros(classes, embeddings.shape[1]).index_add(0, part.labels, embeddings * part.weights[:, None])
    return functional.normalize(sums, dim=1)


def _refuse(history: list[dict[str, float]], epoch: int, recipe: TrainSettings) -> None:
    last = history[-1]
    if not all(math.isfinite(v) for v in last.values()):
        raise BackstayError(
            f"the tune loss became {last['tune_loss']} in epoch {epoch + 1}", fix="lower train.learning_rate"
        )
    recent = [h["feature_std"] for h in history[-_COLLAPSED_EPOCHS:]]
    if max(recent) < COLLAPSED and len(recent) == min(_COLLAPSED_EPOCHS, recipe.epochs):
        raise BackstayError(
            f"the encoder has collapsed: after epoch {epoch + 1} all rows have nearly the same embedding "
            f"(feature standard deviation {recent[-1]:.4f} of 1, effective rank {last['effective_rank']:.1f})",
            fix="lower train.learning_rate or train.weight_decay, or raise train.batch_size",
        )


def _stopped(history: list[dict[str, float]], patience: int) -> bool:
    """No better tune loss for `patience` epochs."""
    losses = [h["tune_loss"] for h in history]
    return len(losses) > patience and min(losses[-patience:]) >= min(losses[:-patience])


def _copy(network: Network) -> dict[str, Any]:
    return {k: v.detach().clone() for k, v in network.state_dict().items()}
