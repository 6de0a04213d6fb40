"""What is kept of a window whose rows are not kept: for each detector its sketches, which merge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol, Self, TypeVar

from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import digest
from backstay.maths.sketches.means import MeanSketch
from backstay.maths.sketches.moments import Moments
from backstay.maths.sketches.thinned import ThinnedSketch


class _Mergeable(Protocol):
    def merge(self, other: Self) -> Self: ...

    def to_json(self) -> dict[str, Any]: ...


Part = TypeVar("Part", bound=_Mergeable)


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """One detector's sketches by name: means of features, moments of values, means of thinned features."""

    means: Mapping[str, MeanSketch] = field(default_factory=dict)
    moments: Mapping[str, Moments] = field(default_factory=dict)
    thinned: Mapping[str, ThinnedSketch] = field(default_factory=dict)

    def merge(self, other: Measures) -> Measures:
        """The measures of both sets of rows together."""
        return Measures(
            _both(self.means, other.means), _both(self.moments, other.moments), _both(self.thinned, other.thinned)
        )

    def to_json(self) -> dict[str, Any]:
        """JSON types only."""
        return {"means": _told(self.means), "moments": _told(self.moments), "thinned": _told(self.thinned)}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Measures:
        return Measures(
            _read(state["means"], MeanSketch.from_json),
            _read(state["moments"], Moments.from_json),
            _read(state["thinned"], ThinnedSketch.from_json),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """All rows of a window of which only a sample is at hand: their number, and the measures of each detector."""

    rows: int
    measures: Mapping[str, Measures]


class FeatureMap(Protocol):
    """A fixed, hashable map from rows to features."""

    def to_json(self) -> dict[str, Any]: ...


@lru_cache(maxsize=4096)
def map_key(kind: str, map_: FeatureMap) -> str:
    """What sketches under this map are marked with: its kind, and a digest of all that it was made of."""
    return f"{kind}/{digest(map_.to_json())[:16]}"


def _both(one: Mapping[str, Part], two: Mapping[str, Part]) -> dict[str, Part]:
    if one.keys() != two.keys():
        odd = sorted(one.keys() ^ two.keys())[0]
        raise BackstayError(
            f"only one of two sketches has a part {odd!r}", fix="merge sketches of rows with the same columns"
        )
    return {name: part.merge(two[name]) for name, part in one.items()}


def _told(parts: Mapping[str, Part]) -> dict[str, Any]:
    return {name: part.to_json() for name, part in parts.items()}


def _read(state: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Part]) -> dict[str, Part]:
    return {name: read(part) for name, part in state.items()}
