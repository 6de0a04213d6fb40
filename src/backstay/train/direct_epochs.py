"""An encoder whose head answers the target itself, a number or a chance for each label: its batches and its look."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from backstay.kernel.ids import digest
from backstay.kernel.ports import Progress
from backstay.settings import TrainSettings
from backstay.train.augment import checked
from backstay.train.collapse import collapse_figures
from backstay.train.course import Course, run_course
from backstay.train.examples import Profile, tensors_of
from backstay.train.fitted import prepare
from backstay.train.network import Network, embed, glanced
from backstay.train.objectives.contract import Batch, embed_view, pieces_of

_STEPS = 200
_RIDGE = 1e-4
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
    """Train until the tune loss has not fallen for `patience` epochs; the best epoch's weights stay. Under an encoder
    that stays as it is the head is fitted.

    Args:
        saved: where each epoch leaves what a killed run goes on from.

    Raises:
        BackstayError: the loss is not finite, or the encoder has collapsed.
    """
    prepare(network, train.tensors, train.weights, recipe, progress)
    changes = checked(recipe.augmentation_options, network.kind, recipe.flip)

    def lost(rows: Tensor, generator: torch.Generator, device: torch.device) -> Tensor:
        batch = Batch(
            tuple(t[rows].to(device) for t in train.tensors),
            torch.zeros(len(rows), dtype=torch.int64, device=device),
            train.weights[rows].to(device),
            generator,
            recipe.augmentation,
            recipe.cached_rows,
            network.kind,
            changes,
        )
        said = network.head(embed_view(network, batch))
        each = loss(said, train.truth[rows].to(device)).mean(dim=1) * batch.weights
        return each.sum() / batch.weights.sum().clamp(min=1e-12)

    def order(generator: torch.Generator) -> list[Tensor]:
        return pieces_of(torch.randperm(len(train.truth), generator=generator), recipe.batch_size)

    course = Course(
        network,
        network,
        len(train.truth),
        partial(_seed, recipe),
        order,
        lost,
        partial(_look, network, loss, tune),
    )
    history = run_course(course, recipe, saved=saved, progress=progress)
    if network.frozen:
        _fit_head(network, loss, train)
        history[-1].update(_look(network, loss, tune))
    return history


def _fit_head(network: Network, loss: Loss, train: Aimed) -> None:
    """The linear head on embeddings that stay as they are: convex, by L-BFGS in double precision."""
    known, truth, weights = embed(network, train.tensors).double(), train.truth.double(), train.weights.double()
    head = network.head.double()
    optimiser = torch.optim.LBFGS(head.parameters(), max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        each = loss(head(known), truth).mean(dim=1) * weights
        pull = torch.stack([p.square().sum() for p in head.parameters() if p.dim() > 1]).sum()
        cost: Tensor = each.sum() / weights.sum().clamp(min=1e-12) + _RIDGE * pull
        cost.backward()  # type: ignore[no-untyped-call] # torch does not annotate it
        return cost

    optimiser.step(closure)  # type: ignore[no-untyped-call] # torch does not annotate it
    head.float()


def _seed(recipe: TrainSettings, epoch: int) -> int:
    return int(digest([recipe.seed, epoch])[:13], 16)


@torch.no_grad()
def _look(network: Network, loss: Loss, tune: Aimed) -> dict[str, float]:
    """How the tune part is answered, and how wide its embeddings lie."""
    held_out = glanced(network, tune.tensors)
    deviation, rank = collapse_figures(held_out)
    said = network.head(held_out.to(next(network.head.parameters()).device)).cpu()
    lost = float(loss(said, tune.truth).mean())
    return {"tune_loss": lost, "feature_std": deviation, "effective_rank": rank}
