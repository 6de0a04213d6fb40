"""The epochs: seeded batches, early stopping on the tune part, collapse figures, a checkpoint after each."""

from __future__ import annotations

import hashlib
import math
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import Progress
from backstay.settings import TrainSettings
from backstay.train import checkpoint
from backstay.train.augment import checked
from backstay.train.collapse import COLLAPSED
from backstay.train.fitted import prepare
from backstay.train.heads.examples import ByExamples
from backstay.train.held_out import Look, behind, finite, stopped
from backstay.train.network import Network, embed, told
from backstay.train.objectives.contract import Batch, Objective
from backstay.train.pairs import JudgedPairs
from backstay.train.part import Part
from backstay.train.quarter_turns import turned
from backstay.train.samplers import batches

_GRADIENT_NORM = 5.0
_COLLAPSED_EPOCHS = 2
# A loss this near to that of a single point, with embeddings this narrow, is on its way to one.
_NEAR_POINT = 0.01
_NARROW = 0.2
# One cycle: the share of steps in which the step size rises, and where it begins.
_RISING, _FIRST = 0.2, 0.04


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
    learner = Learner(network, objective, pairs).to(device_of(recipe))
    optimiser = torch.optim.AdamW(learner.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    look = Look.of(train, tune, objective, recipe)
    best: checkpoint.State = _copy(network)
    history: list[dict[str, float]] = []
    taught = turned(train) if recipe.quarter_turns else train
    found = checkpoint.restore(saved, learner, optimiser)
    if found is not None:
        best, history = found[0], found[1]["history"]
    with progress.step("train", total=recipe.epochs) as tick:
        if history:
            tick(len(history), note="resumed")
        began, first = time.monotonic(), len(history)
        # Under a frozen encoder nothing is left to do but the head's fit: one look at the rows, for the record.
        for epoch in range(first, 1 if network.frozen else recipe.epochs):
            if stopped(history, recipe.patience):
                break
            started = time.monotonic()
            loss = _epoch(learner, optimiser, taught, recipe, epoch)
            speed = len(taught) / max(time.monotonic() - started, 1e-9)
            history.append({"loss": loss, **look.figures(network, objective)})
            _refuse(history, epoch, recipe, objective.collapsed_loss())
            if behind(history[-1]) <= min(behind(h) for h in history):
                best = _copy(network)
            checkpoint.save(saved, learner, optimiser, best, {"history": history})
            left = (time.monotonic() - began) / (epoch + 1 - first) * (recipe.epochs - epoch - 1)
            tick(1, note=_note(history[-1], speed, left))
    kept = min(reversed(history), key=behind)  # of equals the last, whose weights are kept
    if not network.frozen and kept["feature_std"] < COLLAPSED:  # a run of few epochs, or one that fell at the very end
        raise _collapsed(kept, history.index(kept), recipe)
    network.load_state_dict(best)
    network.cpu()
    _finish(network, objective, train.labelled(), tune.labelled())
    if network.frozen and objective.trains_head:  # its figures are those of the head that was fitted, not of its steps
        history[-1].update(look.figures(network, objective))
    return history


def device_of(recipe: TrainSettings) -> torch.device:
    """Where to compute. Raises BackstayError where a GPU is asked for and there is none."""
    there = torch.cuda.is_available()
    if recipe.device == "cuda" and not there:
        raise BackstayError('train.device is "cuda" and torch sees no GPU', fix='set it to "auto" or "cpu"')
    return torch.device("cuda" if there and recipe.device != "cpu" else "cpu")


def step_size(recipe: TrainSettings, epoch: int, within: float) -> float:
    """The step size in this epoch (from 0), with the share `within` of it done."""
    if recipe.schedule == "cosine":
        return _falling(recipe.learning_rate, epoch / recipe.epochs)
    done = (epoch + within) / recipe.epochs
    if done < _RISING:
        return recipe.learning_rate * (_FIRST + (1 - _FIRST) * done / _RISING)
    return _falling(recipe.learning_rate, (done - _RISING) / (1 - _RISING))


def _falling(highest: float, done: float) -> float:
    """Half a cosine from the highest to nothing (Loshchilov & Hutter 2017)."""
    return highest * 0.5 * (1 + math.cos(math.pi * done))


def _epoch(learner: Learner, optimiser: torch.optim.Optimizer, train: Part, recipe: TrainSettings, epoch: int) -> float:
    learner.train()
    seed = int.from_bytes(hashlib.sha256(f"{recipe.seed}/{epoch}".encode()).digest()[:7], "big")
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout; the caller puts the global generator back
    order = batches(learner.objective, train.labels, recipe.batch_size, recipe.samples_per_class, generator)
    changes = checked(recipe.augmentation_options, learner.network.kind, recipe.flip)
    device = device_of(recipe)
    if device.type != "cpu":
        generator = torch.Generator(device).manual_seed(seed)
    total, seen = 0.0, 0
    # On a GPU, tensors that augmentations and losses make are to be there too.
    with nullcontext() if device.type == "cpu" else device:
        for place, rows in enumerate(order):
            for group in optimiser.param_groups:
                group["lr"] = step_size(recipe, epoch, place / len(order))
            batch = Batch(
                tuple(t[rows].to(device) for t in train.tensors),
                train.labels[rows].to(device),
                train.weights[rows].to(device),
                generator,
                recipe.augmentation,
                recipe.cached_rows,
                learner.network.kind,
                changes,
                None if train.aims is None else train.aims[rows].to(device),
            )
            total += _step(learner, optimiser, batch, epoch) * len(rows)
            seen += len(rows)
    return total / seen


def _step(learner: Learner, optimiser: torch.optim.Optimizer, batch: Batch, epoch: int) -> float:
    loss = learner.loss(batch)
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


def _finish(network: Network, objective: Objective, train: Part, tune: Part) -> None:
    """The head: fitted on frozen embeddings unless it has learned already, and calibrated on the tune part."""
    if network.frozen or not objective.trains_head:
        network.head.fit(embed(network, train.tensors), train.labels, train.weights)  # type: ignore[operator] # a head of the shelf has `fit`
    held_out = embed(network, tune.tensors)
    if isinstance(network.head, ByExamples):
        network.head.bound(held_out)
    logits = told(network, held_out, tune.tensors)
    network.head.calibrate(logits, tune.labels)  # type: ignore[operator] # a head of the shelf has `calibrate`


def _refuse(history: list[dict[str, float]], epoch: int, recipe: TrainSettings, point: float | None) -> None:
    last = history[-1]
    if not finite(last):
        raise BackstayError(
            f"the tune loss became {last['tune_loss']} in epoch {epoch + 1}", fix="lower train.learning_rate"
        )
    recent = history[-_COLLAPSED_EPOCHS:]
    if len(recent) < min(_COLLAPSED_EPOCHS, recipe.epochs):
        return
    flat = all(h["feature_std"] < COLLAPSED for h in recent)
    at_point = point is not None and all(
        abs(h["loss"] - point) <= _NEAR_POINT * point and h["feature_std"] < _NARROW for h in recent
    )
    if flat or at_point:
        why = f", and the loss stands at {point:g}, that of a single point" if at_point else ""
        raise _collapsed(last, epoch, recipe, why)


def _collapsed(figures: dict[str, float], epoch: int, recipe: TrainSettings, why: str = "") -> BackstayError:
    return BackstayError(
        f"the encoder has collapsed under the objective {recipe.objective!r}: after epoch {epoch + 1} all rows have "
        f"nearly the same embedding (feature standard deviation {figures['feature_std']:.4f} of 1, effective rank "
        f"{figures['effective_rank']:.1f}{why})",
        fix="lower train.learning_rate or train.weight_decay, raise train.batch_size, or put train.objective_options "
        "back to what they are by themselves",
    )


def _note(figures: dict[str, float], speed: float, left: float) -> str:
    """What a reader of the progress bar wants: is it learning, how fast, how long yet."""
    tuned = f"knn {figures['tune_knn']:.3f}" if "tune_knn" in figures else f"tune {figures['tune_loss']:.3f}"
    return f"loss {figures['loss']:.3f}, {tuned}, {speed:,.0f} rows/s, at most {left:,.0f} s left"


def _copy(network: Network) -> dict[str, Any]:
    return {k: v.detach().clone() for k, v in network.state_dict().items()}
