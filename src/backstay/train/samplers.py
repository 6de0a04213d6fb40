"""Which rows make a batch: any, the same number of each of a few classes, or an episode. All by a seeded generator."""

from __future__ import annotations

import torch
from torch import Tensor

from backstay.kernel.errors import BackstayError
from backstay.train.objectives.contract import Objective, pieces_of

# Two rows a class make one pair each; four make six, and leave a batch of 256 room for 64 classes.
ROWS_A_CLASS = 4
_LEAST_CLASSES = 2


def batches(
    objective: Objective, labels: Tensor, size: int, per_class: int, generator: torch.Generator
) -> list[Tensor]:
    """Row numbers of each batch of an epoch, by the sampler that the objective asks for.

    Args:
        labels: class codes [n], -1 where unlabelled.
        size: rows a batch.
        per_class: rows a class in a batch; 0 leaves it to the sampler, more makes a shuffled one balanced.

    Raises:
        BackstayError: the rows do not have the classes that the sampler needs.
    """
    if objective.sampler == "episodes":
        ways, rows = objective.episode
        return episodes(labels, ways, rows, generator)
    if objective.sampler == "shuffled" and per_class == 0:
        return pieces_of(torch.randperm(len(labels), generator=generator), size)
    return balanced(labels, size, per_class or ROWS_A_CLASS, generator)


def episodes(labels: Tensor, ways: int, rows: int, generator: torch.Generator) -> list[Tensor]:
    """Batches of `ways` classes (or all, where there are fewer) with exactly `rows` rows of each, class by class.

    An epoch has as many rows as there are. Classes with fewer than `rows` rows take no part.
    """
    own = {code: torch.nonzero(labels == code)[:, 0] for code in torch.unique(labels[labels >= 0]).tolist()}
    own = {code: found for code, found in own.items() if len(found) >= rows}
    if len(own) < _LEAST_CLASSES:
        raise BackstayError(
            f"an episode needs two classes with {rows} labelled rows or more, there "
            f"{'is' if len(own) == 1 else 'are'} {len(own)}",
            fix="lower shots and queries in train.objective_options, or give more labelled rows",
        )
    ways = min(ways, len(own))
    classes = _Queue(torch.tensor(list(own)), generator)
    queues = {code: _Queue(found, generator) for code, found in own.items()}
    count = max(1, sum(len(found) for found in own.values()) // (ways * rows))
    return [torch.cat([queues[code].take(rows) for code in classes.take(ways).tolist()]) for _ in range(count)]


def balanced(labels: Tensor, size: int, per_class: int, generator: torch.Generator) -> list[Tensor]:
    """Batches of about `size` rows: classes in turn, `per_class` rows of each, or more where there are few classes.

    An epoch has as many batches as a shuffled one. Rows of a class are taken in random order and, when they run out,
    in a new one, so rare classes are seen more often than others. No row is twice in a batch; a class smaller than
    `per_class` gives all it has. Unlabelled rows and classes of one row have no partner and are left out.
    """
    rows = {code: torch.nonzero(labels == code)[:, 0] for code in torch.unique(labels[labels >= 0]).tolist()}
    rows = {code: own for code, own in rows.items() if len(own) > 1}
    if len(rows) < _LEAST_CLASSES:
        raise BackstayError(
            f"this objective compares rows of one class with rows of others, and {len(rows)} of the classes "
            f"ha{'s' if len(rows) == 1 else 've'} two labelled rows or more",
            fix="give more labelled rows, or choose another train.objective",
        )
    each = max(2, per_class, size // len(rows))
    width = min(len(rows), max(_LEAST_CLASSES, size // each))
    classes = _Queue(torch.tensor(list(rows)), generator)
    queues = {code: _Queue(own, generator) for code, own in rows.items()}
    count = max(1, sum(len(own) for own in rows.values()) // size)
    return [torch.cat([queues[code].take(each) for code in classes.take(width).tolist()]) for _ in range(count)]


class _Queue:
    """Values in a random order, and in a new one when too few are left; never one twice at a time."""

    def __init__(self, values: Tensor, generator: torch.Generator) -> None:
        self._values = values
        self._generator = generator
        self._waiting = values[:0]

    def take(self, count: int) -> Tensor:
        if len(self._waiting) < min(count, len(self._values)):
            self._waiting = self._values[torch.randperm(len(self._values), generator=self._generator)]
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken
