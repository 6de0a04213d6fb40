"""A window without its rows: what every detector needs of them, and a sample to show. Partitions and days merge.

Memory does not grow with rows: for each column some tens of numbers, for embeddings 256 a level, 2,000 sampled rows.
Groups are not kept: how rows of one group hang together cannot be told from sums. Rows with groups are watched as rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from backstay.kernel.errors import BackstayError
from backstay.maths.sketches.means import check_version, same_key
from backstay.monitor.detectors import Measuring
from backstay.monitor.fitted import Detectors
from backstay.monitor.measures import Measures, Whole
from backstay.monitor.sample import RowSample
from backstay.monitor.traffic import WindowData

VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class WindowSketch:
    """All rows of a window by number, measures of each detector, first and last moment, and a random sample.

    `key` names the fitted detectors: sketches merge when they were made against one reference, and only then.
    """

    key: str
    rows: int = 0
    measures: Mapping[str, Measures] = field(default_factory=dict)
    earliest: datetime | None = None
    latest: datetime | None = None
    sample: RowSample = field(default_factory=RowSample)

    @staticmethod
    def empty(detectors: Detectors) -> WindowSketch:
        """The sketch of no rows."""
        return WindowSketch(detectors.key)

    def add(self, window: WindowData, detectors: Detectors) -> WindowSketch:
        """The sketch with more rows.

        Raises BackstayError where rows have groups or lack what a detector reads, or the detectors are others.
        """
        same_key(self.key, detectors.key)
        if window.groups is not None:
            raise BackstayError(
                "rows that belong to groups cannot be watched by sketches",
                fix="watch them as rows, or leave the group column out where rows are independent",
            )
        if len(window) == 0:
            return self
        measures = {
            name: member.measure(window, self.measures.get(name))
            for name, member in detectors.members.items()
            if isinstance(member, Measuring)
        }
        earliest, latest = _moment(window.times.min()), _moment(window.times.max())
        return self._with(len(window), measures, earliest, latest, self.sample.add(window))

    def merge(self, other: WindowSketch) -> WindowSketch:
        """The sketch of both sets of rows together."""
        same_key(self.key, other.key)
        if other.earliest is None or other.latest is None:
            return self
        measures = other.measures
        if self.rows:
            measures = {name: part.merge(measures[name]) for name, part in self.measures.items()}
        return self._with(other.rows, measures, other.earliest, other.latest, self.sample.merge(other.sample))

    def _with(
        self, more: int, measures: Mapping[str, Measures], earliest: datetime, latest: datetime, sample: RowSample
    ) -> WindowSketch:
        if self.earliest is not None and self.latest is not None:
            earliest, latest = min(self.earliest, earliest), max(self.latest, latest)
        return replace(self, rows=self.rows + more, measures=measures, earliest=earliest, latest=latest, sample=sample)

    def window(self, start: datetime | None = None, end: datetime | None = None) -> WindowData:
        """The window as detectors take it; from the first row to just after the last unless told otherwise."""
        if self.sample.rows is None or self.earliest is None or self.latest is None:
            raise BackstayError("a window of no rows", fix="add rows to the sketch first")
        return replace(
            self.sample.rows,
            start=start or self.earliest,
            end=end or self.latest + timedelta(microseconds=1),
            whole=Whole(self.rows, self.measures),
        )

    def to_bytes(self) -> bytes:
        """UTF-8 JSON; nothing is pickled."""
        state = {
            "version": VERSION,
            "key": self.key,
            "rows": self.rows,
            "measures": {name: part.to_json() for name, part in self.measures.items()},
            "earliest": None if self.earliest is None else self.earliest.isoformat(),
            "latest": None if self.latest is None else self.latest.isoformat(),
            "sample": self.sample.to_json(),
        }
        return json.dumps(state, sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(data: bytes) -> WindowSketch:
        """What `to_bytes` wrote. Raises BackstayError for anything else and for another version."""
        try:
            state: dict[str, Any] = json.loads(data)
            check_version(state, VERSION, "window")
            return WindowSketch(
                str(state["key"]),
                int(state["rows"]),
                {name: Measures.from_json(part) for name, part in state["measures"].items()},
                None if state["earliest"] is None else datetime.fromisoformat(state["earliest"]),
                None if state["latest"] is None else datetime.fromisoformat(state["latest"]),
                RowSample.from_json(state["sample"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BackstayError("these bytes are no sketch of a window", fix="make it again from its rows") from error


def _moment(at: Any) -> datetime:
    found: datetime = at.astype("datetime64[us]").astype(datetime).replace(tzinfo=UTC)
    return found
