"""Logged rows that no window will judge any more: how many there are, and how many of them were told already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from backstay.kernel.records import Json
from backstay.maths.arrays import AnyArray
from backstay.monitor.windows import rows_before, stamp

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Untold:
    """Rows of which nothing was said yet.

    Args:
        late: came in after their window had been closed. overlapping: lie in windows that a backfill judged by the
            rows of a file.
    """

    late: int = 0
    overlapping: int = 0

    @property
    def sentences(self) -> tuple[str, ...]:
        """Each for people; none where there is nothing to tell.

        >>> Untold(1, 450).sentences[0]
        '1 row came in after its window had been closed and was not tested.'
        >>> Untold(0, 450).sentences
        ('450 logged rows lie in windows that a backfill had judged: they are not tested again.',)
        """
        late, there = self.late, self.overlapping
        said = []
        if late:
            one = late == 1
            said.append(
                f"{late} {'row' if one else 'rows'} came in after {'its' if one else 'their'} window had been closed "
                f"and {'was' if one else 'were'} not tested."
            )
        if there:
            row, it = ("row lies", "it is") if there == 1 else ("rows lie", "they are")
            said.append(f"{there} logged {row} in windows that a backfill had judged: {it} not tested again.")
        return tuple(said)


@dataclass(frozen=True, slots=True)
class LateRows:
    """What was told of a release, and what a backfill judged of it.

    Args:
        told: what was said so far. backfilled: rows of files that were judged; they are not in the log. spans: the
            windows that they filled, joined where they touch.
    """

    told: Untold = Untold()
    backfilled: int = 0
    spans: tuple[Span, ...] = ()

    def untold(self, times: AnyArray, last_end: datetime | None, judged: int, left: int) -> Untold:
        """What is new among the logged rows.

        Args:
            times: of all rows of the release that are logged. judged: rows in all windows so far. left: rows before
                `last_end` that were logged once and are not any more.
        """
        beyond = max(rows_before(times, last_end) + left - (judged - self.backfilled), 0)
        # Rows in windows of a backfill may have left the log since they were told: they do not turn into late ones.
        overlapping = min(max(self._inside(times), self.told.overlapping), beyond)
        late = beyond - overlapping
        return Untold(max(late - self.told.late, 0), max(overlapping - self.told.overlapping, 0))

    def overlap_untold(self, times: AnyArray) -> bool:
        """Whether, of these times of logged rows, more lie in windows of a backfill than were told."""
        return self._inside(times) > self.told.overlapping

    def with_told(self, said: Untold) -> LateRows:
        """Remember that these were told."""
        before = self.told
        return replace(self, told=Untold(before.late + said.late, before.overlapping + said.overlapping))

    def with_backfilled(self, start: datetime, end: datetime, rows: int) -> LateRows:
        """Remember a window that was judged by the rows of a file."""
        joined = self.spans and self.spans[-1][1] == start
        spans = (*self.spans[:-1], (self.spans[-1][0], end)) if joined else (*self.spans, (start, end))
        return replace(self, backfilled=self.backfilled + rows, spans=spans)

    def to_json(self) -> Json:
        """JSON types only; empty where there is nothing to remember."""
        if self == LateRows():
            return {}
        return {
            "late": self.told.late,
            "overlapping": self.told.overlapping,
            "backfilled": self.backfilled,
            "spans": [[start.isoformat(), end.isoformat()] for start, end in self.spans],
        }

    @staticmethod
    def from_json(state: Mapping[str, Any] | None) -> LateRows:
        """What `to_json` wrote; nothing told for a memory of before there was any."""
        if not state:
            return LateRows()
        return LateRows(
            Untold(int(state["late"]), int(state["overlapping"])),
            int(state["backfilled"]),
            tuple((datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in state["spans"]),
        )

    def _inside(self, times: AnyArray) -> int:
        moments = np.sort(np.asarray(times, dtype="datetime64[us]"))
        edges = [np.searchsorted(moments, np.asarray([stamp(start), stamp(end)])) for start, end in self.spans]
        return int(sum(high - low for low, high in edges))
