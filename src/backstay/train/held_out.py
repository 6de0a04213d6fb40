"""How far an epoch has brought the encoder: figures of the tune part, which no step has learned from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from backstay.settings import TrainSettings
from backstay.train.collapse import collapse_figures
from backstay.train.network import Network, glanced
from backstay.train.objectives.contract import Objective
from backstay.train.part import Part

# Rows of either part that are looked at after each epoch: enough for a standard error of accuracy under 1%, and less
# work than the epoch itself, where the rows allow both.
MOST_ROWS = 5000
_ENOUGH_ROWS = 1000
_SHARE = 4
_NEIGHBOURS = 20
_BLOCK = 1000


@dataclass(frozen=True)
class Look:
    """What is looked at after each epoch: the same rows every time, drawn by the seed, `MOST_ROWS` of each part or a
    quarter as many as are trained on."""

    train: Part
    tune: Part
    classes: int
    by_neighbours: bool
    temperature: float

    @staticmethod
    def of(train: Part, tune: Part, objective: Objective, recipe: TrainSettings) -> Look:
        train, tune = train.labelled(), tune.labelled()
        classes = 1 + int(max(train.labels.max(), tune.labels.max()))
        wanted = recipe.early_stopping
        by_neighbours = wanted == "knn" or (wanted == "auto" and not objective.needs_labels)
        most = min(MOST_ROWS, max(_ENOUGH_ROWS, len(train) // _SHARE))
        train, tune = _few(train, most, recipe.seed), _few(tune, most, recipe.seed)
        return Look(train, tune, classes, by_neighbours, recipe.temperature)

    @torch.no_grad()
    def figures(self, network: Network, objective: Objective) -> dict[str, float]:
        """Tune loss and accuracy, by the head or else by class means; by neighbours too where they decide, the
        teacher's where there is one; collapse."""
        held_out = glanced(network, self.tune.tensors)
        known = None
        if self.by_neighbours or not objective.trains_head:
            known = glanced(network, self.train.tensors)
        if objective.trains_head or known is None:
            device = next(network.head.parameters()).device
            logits = network.head(held_out.to(device)).cpu()
        else:
            logits = held_out @ self._means(known).T / self.temperature
        deviation, rank = collapse_figures(held_out)
        found = {
            "tune_loss": float(functional.cross_entropy(logits, self.tune.labels)),
            "tune_accuracy": float((logits.argmax(dim=1) == self.tune.labels).double().mean()),
            "feature_std": deviation,
            "effective_rank": rank,
        }
        if self.by_neighbours and known is not None:
            gallery = known if self.train.aims is None else self.train.aims  # a student is to find its way in these
            guesses = nearest_classes(held_out, gallery, self.train.labels, self.classes)
            found["tune_knn"] = float((guesses == self.tune.labels).double().mean())
        return found

    def _means(self, embeddings: Tensor) -> Tensor:
        """The mean direction of each class [classes, dimension]."""
        sums = embeddings.new_zeros(self.classes, embeddings.shape[1])
        sums = sums.index_add(0, self.train.labels, embeddings * self.train.weights[:, None])
        return functional.normalize(sums, dim=1)


def behind(figures: dict[str, float]) -> float:
    """What training lowers, epoch by epoch: the share of rows whose neighbours are wrong where that is known, else the
    tune loss."""
    return 1.0 - figures["tune_knn"] if "tune_knn" in figures else figures["tune_loss"]


def kept(history: list[dict[str, float]]) -> dict[str, float]:
    """The epoch whose weights are kept: the least behind, of equals the last."""
    return min(reversed(history), key=behind)


def nearest_classes(queries: Tensor, known: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The class that most of the 20 nearest known rows have, nearer rows counting for a little more; codes [n]."""
    k = min(_NEIGHBOURS, len(known))
    guesses = []
    for block in torch.split(queries, _BLOCK):
        similarity, places = (block @ known.T).topk(k, dim=1)
        votes = block.new_zeros(len(block), classes).scatter_add(1, labels[places], 1.0 + 1e-3 * similarity)
        guesses.append(votes.argmax(dim=1))
    return torch.cat(guesses)


def stopped(history: list[dict[str, float]], patience: int) -> bool:
    """No progress for `patience` epochs."""
    left = [behind(h) for h in history]
    return len(left) > patience and min(left[-patience:]) >= min(left[:-patience])


def finite(figures: dict[str, float]) -> bool:
    return all(math.isfinite(v) for v in figures.values())


def _few(part: Part, most: int, seed: int) -> Part:
    if len(part) <= most:
        return part
    order = torch.randperm(len(part), generator=torch.Generator().manual_seed(seed))
    return part.take(order[:most].sort().values)
