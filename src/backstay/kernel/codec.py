"""Frozen records to JSON values and back, by their type hints. No clock, no defaults invented, no code in the data."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar

from backstay.kernel.errors import BackstayError

T = TypeVar("T")
Decoder = Callable[[Any], Any]


def encode(value: Any) -> Any:
    """A JSON value for a record. Times become ISO 8601; NaN and infinity become the strings that `decode` reads."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


def decode(kind: type[T], value: Any) -> T:
    """The record of this kind that `encode` wrote. Unknown fields are refused: they come from a newer version."""
    found = _decoder(typing.cast(Any, kind))
    return typing.cast(T, value if found is None else found(value))


@cache
def _decoder(kind: Any) -> Decoder | None:
    """How values of this kind are read, worked out once a kind; None where they stay as they are."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _or_none(_decoder(next(a for a in arguments if a is not type(None))))
    if origin is tuple:
        one = _each(_decoder(arguments[0]))
        return lambda value: tuple(one(value))
    if origin is list:
        return _each(_decoder(arguments[0]))
    if origin is dict:
        inner = _decoder(arguments[1])
        return dict if inner is None else lambda value: {k: inner(v) for k, v in value.items()}
    if dataclasses.is_dataclass(kind):
        return _record(typing.cast(type, kind))
    if kind is datetime:
        return datetime.fromisoformat
    if kind is float or (isinstance(kind, type) and issubclass(kind, Enum)):
        return typing.cast(Decoder, kind)
    return None


def _or_none(inner: Decoder | None) -> Decoder | None:
    return None if inner is None else lambda value: None if value is None else inner(value)


def _each(inner: Decoder | None) -> Decoder:
    return list if inner is None else lambda value: [inner(v) for v in value]


def _record(kind: type) -> Decoder:
    fields = {name: _decoder(hint) for name, hint in typing.get_type_hints(kind).items()}

    def read(value: dict[str, Any]) -> Any:
        unknown = sorted(value.keys() - fields.keys())
        if unknown:
            raise BackstayError(
                f"a stored {kind.__name__} has fields that this version does not know: {', '.join(unknown)}",
                fix="use the version of Backstay that wrote it, or a newer one",
            )
        return kind(**{n: item if (part := fields[n]) is None else part(item) for n, item in value.items()})

    return read
