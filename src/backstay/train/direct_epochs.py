"""Epochs of an encoder whose head answers the target itself: a number, or a chance for each label.

Shorter than `train.epochs`: CPU only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import digest
from backstay.kernel.ports import Progress
from backstay.settings import TrainSettings
from backstay.train import checkpoint
from backstay.train.augmentations.images import Changes
from backstay.train.collapse import COLLAPSED, collapse_figures
from backstay.train.epochs import step_size
from backstay.train.examples import Profile, tensors_of
from backstay.train.fitted import prepare
from backstay.train.held_out import behind, finite, stopped
from backstay.train.network import Network, glanced
from backstay.train.objectives.contract import Batch, embed_view, pieces_of
from backstay.train.options import Options

_GRADIENT_NORM = 5.0
Loss = Callable[[Tensor, Tensor], Tensor]
"""What is minimised, element by element, of what the head says [n, k] and the truth [n, k]; a row by its mean."""


class Aimed:
    """Inputs of the encoder, targets [n, k] as the head answers them, and weights [n]."""

    def __init__(self, tensors: tuple[Tensor, ...], truth: Tensor, weights: Tensor) -> None:
        self.tensors = tensors
        self.truth = truth
        self.weights = weights

    @property
    def content(self) -> tuple[Tensor, ...]:
        """All that the rows are."""
        return (*self.tensors, self.truth, self.weights)

    @classmethod
    def of(
        cls,
        profile: Profile,
        table: pa.Table,
        truth: Tensor,
        weights: npt.NDArray[np.float32],
        rows: npt.NDArray[np.int64],
    ) -> Aimed:
        """These rows of the table; `truth` and `weights` are of all its rows."""
        tensors = tensors_of(profile, table.take(pa.array(rows)))
        return cls(tensors, truth[rows], torch.from_numpy(weights[rows]))


def direct_epochs(
    network: Network,
    loss: Loss,
    train: Aimed,
    tune: Aimed,
    recipe: TrainSettings,
    *,
    saved: Path,
    progress: Progress,
) -> list[dict[str, float]]:
    """Train until the tune loss has not fallen for `patience` epochs; the best epoch's weights stay.

    Args:
        saved: where each epoch leaves what a killed run goes on from.
    """
    prepare(network, train.tensors, train.weights, recipe, progress)
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    history: list[dict[str, float]] = []
    best: checkpoint.State = {}
    found = checkpoint.restore(saved, network, optimiser)
    if found is not None:
        best, history = found[0], found[1]["history"]
    with progress.step("train", total=recipe.epochs) as tick:
        if history:
            tick(len(history), note="resumed")
        for epoch in range(len(history), recipe.epochs):
            if stopped(history, recipe.patience):
                break
            lost = _epoch(network, optimiser, loss, train, recipe, epoch)
            history.append({"loss": lost, **_look(network, loss, tune)})
            if not finite(history[-1]):
                raise BackstayError(f"the loss became {lost} in epoch {epoch + 1}", fix="lower train.learning_rate")
            if behind(history[-1]) <= min(behind(h) for h in history):
                best = {k: v.detach().clone() for k, v in network.state_dict().items()}
            checkpoint.save(saved, network, optimiser, best, {"history": history})
            tick(1, note=f"loss {lost:.3f}, tune {behind(history[-1]):.3f}")
    network.load_state_dict(best)
    if all(h["feature_std"] < COLLAPSED for h in history[-2:]):
        raise BackstayError(
            "the encoder has collapsed: all rows have nearly the same embedding",
            fix="lower train.learning_rate or train.weight_decay",
        )
    return history


@torch.no_grad()
def _look(network: Network, loss: Loss, tune: Aimed) -> dict[str, float]:
    """How the tune part is answered, and how wide its embeddings lie."""
    held_out = glanced(network, tune.tensors)
    deviation, rank = collapse_figures(held_out)
    lost = float(loss(network.head(held_out), tune.truth).mean())
    return {"tune_loss": lost, "feature_std": deviation, "effective_rank": rank}


def _epoch(
    network: Network,
    optimiser: torch.optim.Optimizer,
    loss: Loss,
    train: Aimed,
    recipe: TrainSettings,
    epoch: int,
) -> float:
    network.train()
    seed = int(digest([recipe.seed, epoch])[:13], 16)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout; the caller puts the global generator back
    changes = Changes.of(Options("train.augmentation_options", recipe.augmentation_options), recipe.flip)
    order = pieces_of(torch.randperm(len(train.truth), generator=generator), recipe.batch_size)
    total = 0.0
    for place, rows in enumerate(order):
        for group in optimiser.param_groups:
            group["lr"] = step_size(recipe, epoch, place / len(order))
        batch = Batch(
            tuple(t[rows] for t in train.tensors),
            torch.zeros(len(rows), dtype=torch.int64),
            train.weights[rows],
            generator,
            recipe.augmentation,
            recipe.cached_rows,
            network.kind,
            changes,
        )
        said = network.head(embed_view(network, batch))
        each = loss(said, train.truth[rows]).mean(dim=1) * batch.weights
        mean = each.sum() / batch.weights.sum().clamp(min=1e-12)
        optimiser.zero_grad()
        mean.backward()  # type: ignore[no-untyped-call] # torch does not annotate it
        torch.nn.utils.clip_grad_norm_(network.parameters(), _GRADIENT_NORM)
        optimiser.step()
        total += float(mean.detach()) * len(rows)
    return total / len(train.truth)
