"""What flows between the parts of a pipeline: columns side by side, of numbers or of text."""

from __future__ import annotations

from dataclasses import dataclass, replace

from backstay.kernel.errors import BackstayError
from backstay.train.convert.graph import Graph


class Unsupported(BackstayError):
    """A part that the exporter does not know."""


@dataclass(frozen=True, slots=True)
class Block:
    """A tensor [rows, width], of doubles or of text.

    Args:
        missing: of text, the value that an imputer has put where a value is missing (which the tensor holds as "");
            None where none has.
    """

    name: str
    width: int
    text: bool = False
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Classified:
    """What a classifier adds to a graph, each "" where there is none: doubles, and the place of what is answered.

    Args:
        chances: [rows, classes], what `predict_proba` answers.
        decision: what `decision_function` answers: [rows, 1] of two classes, [rows, classes] of more.
        place: int64 [rows], the place of the answered class; "" where it is that of the highest chance or decision.
    """

    chances: str = ""
    decision: str = ""
    place: str = ""


def single_columns(graph: Graph, blocks: list[Block]) -> list[Block]:
    """The same columns, a block each."""
    found = []
    for block in blocks:
        if block.width == 1:
            found.append(block)
        else:
            found += [replace(block, name=graph.columns(block.name, [i]), width=1) for i in range(block.width)]
    return found


def matrix(graph: Graph, blocks: list[Block], what: str) -> str:
    """All columns as one matrix of doubles.

    Raises:
        Unsupported: one of them is text.
    """
    if any(block.text for block in blocks):
        raise Unsupported(
            f"{what} would read text", fix="encode the categories before it, or convert the model yourself"
        )
    return graph.side_by_side([block.name for block in blocks])


def width_of(blocks: list[Block]) -> int:
    """How many columns they are together."""
    return sum(block.width for block in blocks)
