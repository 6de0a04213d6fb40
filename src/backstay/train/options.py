"""What a plug-in may be told in the settings: read by name, checked, and refused where nobody reads it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from backstay.kernel.errors import BackstayError, nearest

Value = float | int | str | bool


class Options:
    """A thin reader of one table of options.

    Every reading method takes a default and answers the given value where there is one. `done` is called last: it
    refuses keys that nothing has asked for, so that a misspelt option is an error and not a silence.

    Args:
        where: the key in the project file, for messages ("train.objective_options").
        given: the table.
        defaults: values that stand in for a plug-in's own defaults, where it has an option of that name.

    >>> options = Options("train.objective_options", {"margin": 0.5})
    >>> options.number("margin", 0.2, low=0)
    0.5
    >>> options.done()
    """

    def __init__(self, where: str, given: Mapping[str, Value], defaults: Mapping[str, Value] | None = None) -> None:
        self._where = where
        self._table = dict(given)
        self._defaults = dict(defaults or {})
        self._asked: list[str] = []

    def number(self, name: str, default: float, *, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number from low to high, both allowed."""
        value = self._read(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self._wrong(name, value, "a number")
        if not low <= value <= high:
            raise self._wrong(name, value, _range(low, high))
        return float(value)

    def whole(self, name: str, default: int, *, low: int | None = None, high: int | None = None) -> int:
        """A whole number from low to high, both allowed."""
        value = self._read(name, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(name, value, "a whole number")
        if (low is not None and value < low) or (high is not None and value > high):
            raise self._wrong(name, value, _range(low, high))
        return value

    def choice(self, name: str, default: str, choices: Collection[str]) -> str:
        """One of some words."""
        value = self._read(name, default)
        if not isinstance(value, str) or value not in choices:
            raise BackstayError(f"{self._where}.{name} is {value!r}", fix=nearest(str(value), choices))
        return value

    def text(self, name: str, default: str) -> str:
        """Any text."""
        value = self._read(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, value, "text")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._read(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, value, "true or false")
        return value

    def given(self, name: str) -> bool:
        """Whether the table says anything of it."""
        return name in self._table

    def rest(self) -> dict[str, Value]:
        """All that nobody has asked for yet, for a plug-in that hands its options on."""
        left = {name: value for name, value in self._table.items() if name not in self._asked}
        self._asked += left
        return left

    def done(self) -> None:
        """Refuse what is left over."""
        for name in self._table:
            if name not in self._asked:
                raise BackstayError(f"{self._where} has no key {name!r}", fix=nearest(name, self._asked))

    def _read(self, name: str, default: Value) -> Value:
        self._asked.append(name)
        return self._table.get(name, self._defaults.get(name, default))

    def _wrong(self, name: str, value: Value, wanted: str) -> BackstayError:
        return BackstayError(f"{self._where}.{name} is {value!r}", fix=f"it must be {wanted}")


def _range(low: float | None, high: float | None) -> str:
    if high is None or math.isinf(high):
        return f"{low:g} or more"
    return f"{high:g} or less" if low is None or math.isinf(low) else f"from {low:g} to {high:g}"
