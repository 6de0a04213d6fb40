"""What a model does not say of itself, said by who brings it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Hints:
    """Of a torch module: an example of its input, and the kinds of its outputs in their order ("scores", "logits",
    "embedding", "value"). Of it and of an ONNX file: the classes in the order of its scores."""

    example: Any = None
    outputs: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    @staticmethod
    def of(example: Any, outputs: Sequence[str] | str, classes: Sequence[Any] | str) -> Hints:
        """As people write them: one output's kind without a bracket, classes that are numbers or truth values."""
        kinds = (outputs,) if isinstance(outputs, str) else tuple(outputs)
        named = (classes,) if isinstance(classes, str) else tuple(classes)
        return Hints(example, kinds, tuple(_name(c) for c in named))


def _name(value: Any) -> str:
    """A class as labels are written: whole numbers without a fraction, truth values in small letters."""
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, float) and plain.is_integer():
        return str(int(plain))
    return str(plain)
