"""Examples as small pictures or small cards of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backstay.kernel.records import Signal
from backstay.render.examples import Example
from backstay.render.images import png_uri, scaled
from backstay.render.prose import anything, known, percent

MOST_TILES = 12
MOST_COLUMNS = 6


@dataclass(frozen=True, slots=True)
class Tile:
    """One example, ready for the template."""

    uri: str
    alt: str
    prediction: str
    confidence: str
    columns: tuple[tuple[str, str], ...]


def tiles(examples: Sequence[Example], what: str) -> tuple[Tile, ...]:
    """At most 12 tiles; `what` ("now", "before") goes into the alternative text."""
    return tuple(_tile(example, what) for example in examples[:MOST_TILES])


def shown(signals: Sequence[Signal], examples: Mapping[str, Example]) -> tuple[Example, ...]:
    """The examples that signals name, alarms first, strongest first; all of them when no signal names any."""
    ordered = sorted(signals, key=lambda s: (not s.alarm, -s.evidence if s.evidence == s.evidence else 0.0))
    named = [key for signal in ordered for key in signal.example_ids if key in examples]
    keys = list(dict.fromkeys(named)) or list(examples)
    return tuple(examples[key] for key in keys)


def _tile(example: Example, what: str) -> Tile:
    answer = str(example.prediction)
    sure = percent(example.confidence, 0) if known(example.confidence) else ""
    alt = f"an image from {what}" + (f", answered {answer}" if answer else "") + (f", {sure} sure" if sure else "")
    return Tile(
        uri="" if example.image is None else png_uri(scaled(example.image, 64)),
        alt=alt,
        prediction=answer,
        confidence=f"{sure} sure" if sure else "",
        columns=tuple((str(name), anything(value)) for name, value in list(example.columns.items())[:MOST_COLUMNS]),
    )
