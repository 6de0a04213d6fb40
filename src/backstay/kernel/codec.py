"""Frozen records to JSON values and back, by their type hints. No clock, no defaults invented, no code in the data."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar

from backstay.kernel.errors import BackstayError

T = TypeVar("T")


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
    return typing.cast(T, _decode(kind, value))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _decode(kind: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _decode(next(a for a in arguments if a is not type(None)), value)
    if origin is tuple:
        return tuple(_decode(arguments[0], v) for v in value)
    if origin is list:
        return [_decode(arguments[0], v) for v in value]
    if origin is dict:
        return {k: _decode(arguments[1], v) for k, v in value.items()}
    if dataclasses.is_dataclass(kind):
        return _decode_record(typing.cast(type, kind), value)
    if kind is datetime:
        return datetime.fromisoformat(value)
    if kind is float:
        return float(value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return value


def _decode_record(kind: type, value: dict[str, Any]) -> Any:
    hints = _hints(kind)
    unknown = sorted(set(value) - set(hints))
    if unknown:
        raise BackstayError(
            f"a stored {kind.__name__} has fields that this version does not know: {', '.join(unknown)}",
            fix="use the version of Backstay that wrote it, or a newer one",
        )
    return kind(**{name: _decode(hints[name], item) for name, item in value.items()})
