"""Images turned by quarter turns, each turn of a class a class of its own: more classes to tell apart from few.

A character lying on its side is another character. Taken as classes of their own, turns teach what makes shapes differ,
which is what few-shot work on new classes needs (Santoro et al. 2016, arXiv 1605.06065; Vinyals et al. 2016).
"""

from __future__ import annotations

import torch

from backstay.kernel.errors import BackstayError
from backstay.train.objectives.contract import Objective
from backstay.train.part import Part

TURNS = 4


def turned(part: Part) -> Part:
    """The part, then it again by one, two and three quarter turns; turn t of class c is class t * classes + c, with as
    many classes as the highest code tells."""
    (pixels,) = part.tensors
    classes = 1 + int(part.labels.max())
    labels = [torch.where(part.labels < 0, part.labels, part.labels + t * classes) for t in range(TURNS)]
    return Part(
        (torch.cat([torch.rot90(pixels, t, (1, 2)) for t in range(TURNS)]),),
        torch.cat(labels),
        part.weights.repeat(TURNS),
    )


def refuse_turns(shape: tuple[int, ...], kind: str, objective: type[Objective] | Objective, name: str) -> None:
    """Raises BackstayError where rows cannot be turned, or where turned classes have no place in the objective."""
    if kind != "image" or shape[0] != shape[1]:
        what = f"images of {shape[0]} x {shape[1]}" if kind == "image" else f"a {kind}"
        raise BackstayError(
            f"train.quarter_turns is true and the rows are {what}",
            fix="set it to false: only square images can be turned by a quarter",
        )
    if objective.trains_head or not objective.needs_labels:
        why = "scores classes as they are" if objective.trains_head else "does not learn from classes"
        raise BackstayError(
            f"train.quarter_turns is true and the objective {name!r} {why}",
            fix='set it to false, or train.objective = "supcon"',
        )
