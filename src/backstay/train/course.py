"""The frame of every training by steps: epochs of seeded batches, early stopping, collapse, a checkpoint after each."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import Progress
from backstay.settings import TrainSettings
from backstay.train import checkpoint
from backstay.train.collapse import COLLAPSED
from backstay.train.held_out import behind, finite, kept, stopped
from backstay.train.length import Length, length_of
from backstay.train.network import Network
from backstay.train.pace import Pace

_GRADIENT_NORM = 5.0
_COLLAPSED_EPOCHS = 2
# A loss this near to that of a single point, with embeddings this narrow, is on its way to one.
_NEAR_POINT = 0.01
_NARROW = 0.2
# Steps below which a run that stopped early is told that it may have stopped too early.
FEW_STEPS = 100
# One cycle: the share of steps in which the step size rises, and where it begins.
_RISING, _FIRST = 0.2, 0.04

Figures = dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What is to be trained, and on what.

    Args:
        learner: all that training changes: the network, or it and what its objective learns.
        rows: how many are learned from in an epoch.
        seed: of an epoch, for all that is random in it.
        order: row numbers of each batch of an epoch, by a generator of the CPU.
        loss: of these rows on this device, with its graph, by a generator of the device.
        look: figures of the tune part: "tune_loss" or "tune_knn", "feature_std" and "effective_rank" among them.
        point: the loss of an encoder that answers one point for every row, where that is a known number.
    """

    network: Network
    learner: nn.Module
    rows: int
    seed: Callable[[int], int]
    order: Callable[[torch.Generator], list[Tensor]]
    loss: Callable[[Tensor, torch.Generator, torch.device], Tensor]
    look: Callable[[], Figures]
    point: float | None = None


def run_course(course: Course, recipe: TrainSettings, *, saved: Path, progress: Progress) -> list[Figures]:
    """Train until the tune part shows no progress; the best epoch's weights stay, on the CPU. Answers each epoch's
    figures.

    Args:
        saved: where each epoch leaves what a killed run goes on from, on whatever device.

    Raises:
        BackstayError: the loss is not finite, or the encoder has collapsed.
    """
    network, learner, device = course.network, course.learner, device_of(recipe)
    steps = len(course.order(torch.Generator().manual_seed(0)))
    length = length_of(recipe, steps)
    # Under a frozen encoder nothing is left to do but the head's fit: one look at the rows, for the record.
    epochs = 1 if network.frozen else length.epochs
    learner.to(device)
    optimiser = torch.optim.AdamW(learner.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    best: checkpoint.State = _copy(network)
    history: list[Figures] = []
    found = checkpoint.restore(saved, learner, optimiser)
    if found is not None:
        best, history = found[0], found[1]["history"]
    with progress.step("train", total=epochs) as tick:
        if history:
            tick(len(history), note="resumed")
        pace = Pace(tick, network.kind, course.rows, epochs - len(history))
        for epoch in range(len(history), epochs):
            if stopped(history, length.patience):
                tick(0, note=_early(history, length, steps))
                break
            loss = _epoch(course, optimiser, recipe, epochs, epoch, pace)
            history.append({"loss": loss, **course.look()})
            _refuse(history, recipe, epochs, course)
            if behind(history[-1]) <= min(behind(h) for h in history):
                best = _copy(network)
            checkpoint.save(saved, learner, optimiser, best, {"history": history})
            pace.epoch(history[-1])
    chosen = kept(history)
    if not network.frozen and chosen["feature_std"] < COLLAPSED:  # few epochs, or one that fell at the very end
        raise _collapsed(chosen, history.index(chosen), recipe)
    network.load_state_dict(best)
    network.cpu()
    return history


def _early(history: list[Figures], length: Length, steps: int) -> str:
    """What is told of a run that ends before its last epoch; of few steps, that patience waits for more. Args: steps:
    of an epoch."""
    done, best = len(history), history.index(kept(history)) + 1
    said = f"stopped after epoch {done} of {length.epochs} ({done * steps:,} steps), that of epoch {best} is kept"
    if done * steps >= FEW_STEPS:
        return said
    return f"{said}; so few steps teach little: raise train.patience above {length.patience}, or lower train.batch_size"


def device_of(recipe: TrainSettings) -> torch.device:
    """Where to compute. Raises BackstayError where a GPU is asked for and there is none."""
    there = torch.cuda.is_available()
    if recipe.device == "cuda" and not there:
        raise BackstayError('train.device is "cuda" and torch sees no GPU', fix='set it to "auto" or "cpu"')
    return torch.device("cuda" if there and recipe.device != "cpu" else "cpu")


def step_size(recipe: TrainSettings, epochs: int, epoch: int, within: float) -> float:
    """The step size in this epoch (from 0) of so many, with the share `within` of it done."""
    if recipe.schedule == "cosine":
        return _falling(recipe.learning_rate, epoch / epochs)
    done = (epoch + within) / epochs
    if done < _RISING:
        return recipe.learning_rate * (_FIRST + (1 - _FIRST) * done / _RISING)
    return _falling(recipe.learning_rate, (done - _RISING) / (1 - _RISING))


def _falling(highest: float, done: float) -> float:
    """Half a cosine from the highest to nothing (Loshchilov & Hutter 2017)."""
    return highest * 0.5 * (1 + math.cos(math.pi * done))


def _epoch(
    course: Course, optimiser: torch.optim.Optimizer, recipe: TrainSettings, epochs: int, epoch: int, pace: Pace
) -> float:
    course.learner.train()
    seed, device = course.seed(epoch), device_of(recipe)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout; the caller puts the global generator back
    order = course.order(generator)
    if device.type != "cpu":
        generator = torch.Generator(device).manual_seed(seed)
    total, seen = 0.0, 0
    # On a GPU, tensors that augmentations and losses make are to be there too.
    with nullcontext() if device.type == "cpu" else device:
        for place, rows in enumerate(order):
            for group in optimiser.param_groups:
                group["lr"] = step_size(recipe, epochs, epoch, place / len(order))
            value = _step(course.learner, optimiser, course.loss(rows, generator, device), epoch)
            total += value * len(rows)
            seen += len(rows)
            pace.step(len(rows), value)
    return total / seen


def _step(learner: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor, epoch: int) -> float:
    value = float(loss.detach())
    if not math.isfinite(value):
        raise BackstayError(
            f"the loss became {value} in epoch {epoch + 1}",
            fix="lower train.learning_rate, or raise train.temperature",
        )
    optimiser.zero_grad()
    if not loss.requires_grad:  # a frozen encoder under an objective that does not train the head: nothing to move
        return value
    loss.backward()  # type: ignore[no-untyped-call] # torch does not annotate it
    torch.nn.utils.clip_grad_norm_(learner.parameters(), _GRADIENT_NORM)
    optimiser.step()
    return value


def _refuse(history: list[Figures], recipe: TrainSettings, epochs: int, course: Course) -> None:
    last, epoch, point = history[-1], len(history) - 1, course.point
    if not finite(last):
        raise BackstayError(
            f"the tune loss became {last['tune_loss']} in epoch {epoch + 1}", fix="lower train.learning_rate"
        )
    recent = history[-_COLLAPSED_EPOCHS:]
    # A frozen encoder was led nowhere: it is narrow because it came so.
    if course.network.frozen or len(recent) < min(_COLLAPSED_EPOCHS, epochs):
        return
    flat = all(h["feature_std"] < COLLAPSED for h in recent)
    at_point = point is not None and all(
        abs(h["loss"] - point) <= _NEAR_POINT * point and h["feature_std"] < _NARROW for h in recent
    )
    if flat or at_point:
        why = f", and the loss stands at {point:g}, that of a single point" if at_point else ""
        raise _collapsed(last, epoch, recipe, why)


def _collapsed(figures: Figures, epoch: int, recipe: TrainSettings, why: str = "") -> BackstayError:
    return BackstayError(
        f"the encoder has collapsed under the objective {recipe.objective!r}: after epoch {epoch + 1} all rows have "
        f"nearly the same embedding (feature standard deviation {figures['feature_std']:.4f} of 1, effective rank "
        f"{figures['effective_rank']:.1f}{why})",
        fix="lower train.learning_rate or train.weight_decay, raise train.batch_size, or put train.objective_options "
        "back to what they are by themselves",
    )


def _copy(network: Network) -> checkpoint.State:
    return {k: v.detach().clone() for k, v in network.state_dict().items()}
