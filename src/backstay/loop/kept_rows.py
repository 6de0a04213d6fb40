"""A window by all of its rows, where sketches lose what a test needs: groups, slices, and the season of each row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import numpy as np

from backstay.monitor.detectors.group_answers import NAME as GROUP_ANSWERS
from backstay.monitor.detectors.slices import NAME as SLICES
from backstay.monitor.fitted import Detectors
from backstay.monitor.sample import joined, take
from backstay.monitor.sketch import WindowSketch
from backstay.monitor.traffic import WindowData
from backstay.settings import Settings


class Gathered(Protocol):
    """The rows of a window so far: a `WindowSketch`, or `KeptRows`. Only like is merged with like."""

    @property
    def rows(self) -> int: ...

    def add(self, window: WindowData, detectors: Detectors) -> Gathered: ...

    def merge(self, other: Any) -> Gathered: ...

    def window(self, start: datetime, end: datetime) -> WindowData: ...


@dataclass(frozen=True, slots=True, eq=False)
class KeptRows:
    """Parts of a window, to be added to and joined like a `WindowSketch`; memory grows with its rows."""

    parts: tuple[WindowData, ...] = ()

    @property
    def rows(self) -> int:
        return sum(len(part) for part in self.parts)

    def add(self, window: WindowData, detectors: Detectors) -> KeptRows:
        """The window with more rows. `detectors` are what a sketch would measure by."""
        return replace(self, parts=(*self.parts, window))

    def merge(self, other: KeptRows) -> KeptRows:
        return replace(self, parts=(*self.parts, *other.parts))

    def window(self, start: datetime, end: datetime) -> WindowData:
        """The rows in the order of their time, as the log gives them."""
        whole = joined(self.parts)
        order = np.argsort(whole.times, kind="stable")
        return replace(take(whole, order), start=start, end=end)


def empty_window(part: WindowData, detectors: Detectors, settings: Settings) -> Gathered:
    """What the rows of a window are gathered in, by the first of them."""
    sliced = bool(part.slices) and not detectors.members.keys().isdisjoint((GROUP_ANSWERS, SLICES))
    if part.groups is not None or sliced or settings.watch.season != "none":
        return KeptRows()
    return WindowSketch.empty(detectors)
