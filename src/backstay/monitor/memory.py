"""What the monitor remembers of one release between windows. Kept with the window that made it, in one transaction."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from backstay.kernel.clock import utc
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import fraction
from backstay.kernel.records import Json
from backstay.maths.budget import Episodes
from backstay.monitor.late_rows import LateRows, Untold
from backstay.monitor.row_memory import RowMemory
from backstay.monitor.sources import Sources
from backstay.monitor.traffic import LabelledRow

VERSION = 1
# Labels and traffic of about a month speak for "now"; those of the window before always do, since its standing sample
# is drawn when it closes and answered while the next one fills.
POOLED = timedelta(days=31)
NO_WAIT = timedelta(0)
MOST_LABELS = 2000
MOST_CHANCES = 1000
MARK = 6


@dataclass(frozen=True, slots=True)
class LabelPoint:
    """One representative label: was the model right, its calibrated chance of being right (None without scores), and
    how far a number was off (None for classes)."""

    prediction_id: str
    at: datetime
    correct: bool
    chance: float | None
    group: str | None = None
    error: float | None = None


@dataclass(frozen=True, slots=True)
class ChancePool:
    """Chances of being right of (a sample of) a past window's rows: what the unlabelled rows say."""

    start: datetime
    end: datetime
    rows: int
    chances: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """State of the monitor of one release. Begins anew at every release: so do evidence and episodes.

    Args:
        started: when the release was made; windows and the yearly budget count from here.
        last_end: end of the last window watched. `rows` lie before it.
        spent: false alarms expected of all looks so far (the part of the budget that is used up).
        counted: hashes of the labels that have been taken into account, so that none is a witness twice.
        rows_seen: what figures beside accuracy need of the rows of `labels` and `pools`.
        late_rows: what was told of rows that came in too late, and which windows a backfill judged.
    """

    release_id: str
    started: datetime
    last_end: datetime | None = None
    rows: int = 0
    windows: int = 0
    spent: float = 0.0
    newest_label: datetime | None = None
    detectors: Mapping[str, Json] = field(default_factory=dict)
    episodes: Mapping[str, Episodes] = field(default_factory=dict)
    counted: frozenset[int] = frozenset()
    labels: tuple[LabelPoint, ...] = ()
    pools: tuple[ChancePool, ...] = ()
    sources: Sources = field(default_factory=Sources)
    rows_seen: RowMemory = field(default_factory=RowMemory)
    late_rows: LateRows = field(default_factory=LateRows)

    @staticmethod
    def start(release_id: str, released_at: datetime) -> Memory:
        """The memory of a release that has not been watched yet."""
        return Memory(release_id, utc(released_at))

    def with_labels_of(self, former: Memory) -> Memory:
        """Go on with the labels that came while the same model was live before; evidence and the budget begin anew."""
        return replace(
            self,
            labels=former.labels,
            pools=former.pools,
            newest_label=former.newest_label,
            rows_seen=former.rows_seen,
            sources=former.sources,
        )

    def untold(self, times: Any, left: int = 0) -> Untold:
        """Logged rows that no window will judge and nobody was told of, by the times of all rows of this release.

        Args:
            left: rows before `last_end` that were logged once and are not any more (for their age, or erased).
        """
        return self.late_rows.untold(times, self.last_end, self.rows, left)

    def with_told(self, said: Untold) -> Memory:
        """Remember that these were told."""
        return replace(self, late_rows=self.late_rows.with_told(said))

    def with_backfilled(self, start: datetime, end: datetime, rows: int) -> Memory:
        """Remember that the window that was judged last was filled by the rows of a file, which are not logged."""
        return replace(self, late_rows=self.late_rows.with_backfilled(utc(start), utc(end), rows))

    def years(self, now: datetime) -> float:
        return max((utc(now) - self.started).total_seconds(), 0.0) / (365.0 * 86_400)

    def fresh(self, rows: Iterable[LabelledRow], before: datetime) -> tuple[LabelledRow, ...]:
        """Those of the labelled rows that were predicted before a moment and have not been counted yet.

        A row has one representative label, the first; labels that speak for no one are told once a source.
        """
        seen, kept = set(self.counted), []
        for row in rows:
            mark = _mark(row)
            if row.predicted_at < before and mark not in seen:
                seen.add(mark)
                kept.append(row)
        return tuple(kept)

    def with_counted(self, rows: Iterable[LabelledRow]) -> Memory:
        """Remember that these labels have been taken into account."""
        return replace(self, counted=self.counted | {_mark(row) for row in rows})

    def with_labels(
        self, fresh: tuple[LabelPoint, ...], now: datetime, wait: timedelta = NO_WAIT, start: datetime | None = None
    ) -> Memory:
        """Remember these labels (each row once) and forget those of rows older than a month and the window before.

        Labels go back as far as the windows that are remembered with them: an estimate says of a window that so many
        of its labels were right, and that holds of all of them.

        Args:
            wait: how long labels wait before they count; all is remembered so much longer.
            start: of the window that ends now: its labels count, however long it is.

        Of more than 2,000 those with the smallest hash of their id are kept: a draw that cannot know the outcome. They
        stay in the order in which they came, as limits that hold at every look are read; those of one look by a hash,
        not by time: where accuracy moves within a window, labels by time would not be like a random draw from it.
        """
        known = {point.prediction_id: point for point in self.labels}
        for point in sorted(fresh, key=lambda point: (fraction(point.prediction_id, "came"), point.prediction_id)):
            known.setdefault(point.prediction_id, point)
        begun = [] if start is None else [utc(start)]
        since = min([now - wait - POOLED, *(pool.start for pool in self._remembered(now, wait)), *begun])
        kept = [point for point in known.values() if point.at >= since]
        if len(kept) > MOST_LABELS:
            drawn = sorted(kept, key=lambda point: fraction(point.prediction_id, "kept"))[:MOST_LABELS]
            ids = {point.prediction_id for point in drawn}
            kept = [point for point in kept if point.prediction_id in ids]
        return replace(self, labels=tuple(kept))

    def with_pool(self, pool: ChancePool, wait: timedelta = NO_WAIT) -> Memory:
        """Remember a window's chances; forget windows that ended more than a month before it did, but the last one.

        Args:
            wait: as in `with_labels`; the last one is then the last whose labels count.
        """
        return replace(self, pools=(*self._remembered(pool.end, wait), pool))

    def _remembered(self, now: datetime, wait: timedelta) -> tuple[ChancePool, ...]:
        """The past windows that still speak beside one that ends now."""
        ripe = [old for old in self.pools if old.end <= now - wait]
        since = min([now - wait - POOLED, *(old.end - timedelta(microseconds=1) for old in ripe[-1:])])
        return tuple(old for old in self.pools if old.end > since)

    def to_json(self) -> Json:
        """JSON types only; floats are exact."""
        return {
            "version": VERSION,
            "release_id": self.release_id,
            "started": self.started.isoformat(),
            "last_end": _moment(self.last_end),
            "rows": self.rows,
            "windows": self.windows,
            "spent": self.spent,
            "newest_label": _moment(self.newest_label),
            "detectors": dict(self.detectors),
            "episodes": {name: episodes.to_json() for name, episodes in self.episodes.items()},
            "counted": base64.b64encode(b"".join(m.to_bytes(MARK, "big") for m in sorted(self.counted))).decode(),
            "labels": [
                [
                    p.prediction_id,
                    p.at.isoformat(),
                    p.correct,
                    p.chance,
                    p.group,
                    *([] if p.error is None else [p.error]),
                ]
                for p in self.labels
            ],
            "pools": [[p.start.isoformat(), p.end.isoformat(), p.rows, list(p.chances)] for p in self.pools],
            "sources": list(self.sources.hashes),
            **({"rows_seen": self.rows_seen.to_json()} if self.rows_seen.kind else {}),
            **({"late_rows": told} if (told := self.late_rows.to_json()) else {}),
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Memory:
        """What `to_json` wrote. Raises BackstayError for the state of another version."""
        if state.get("version") != VERSION:
            raise BackstayError(
                f"the monitor's state has version {state.get('version')!r}, this Backstay reads {VERSION}",
                fix="use the version of Backstay that wrote it, or make a new release of the model",
            )
        return Memory(
            release_id=str(state["release_id"]),
            started=datetime.fromisoformat(state["started"]),
            last_end=_time(state["last_end"]),
            rows=int(state["rows"]),
            windows=int(state["windows"]),
            spent=float(state["spent"]),
            newest_label=_time(state["newest_label"]),
            detectors=dict(state["detectors"]),
            episodes={name: Episodes.from_json(episodes) for name, episodes in state["episodes"].items()},
            counted=_counted(base64.b64decode(state["counted"])),
            labels=tuple(LabelPoint(i, datetime.fromisoformat(at), *rest) for i, at, *rest in state["labels"]),
            pools=tuple(
                ChancePool(datetime.fromisoformat(start), datetime.fromisoformat(end), rows, tuple(chances))
                for start, end, rows, chances in state["pools"]
            ),
            sources=Sources(tuple(state["sources"])),
            rows_seen=RowMemory.from_json(state.get("rows_seen")),
            late_rows=LateRows.from_json(state.get("late_rows")),
        )


def _mark(row: LabelledRow) -> int:
    """48 bits for a label: two of a million labels share theirs with a chance of a few in a thousand."""
    name = row.label.prediction_id
    if not row.representative:
        name = f"{name}\x00{row.label.source}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:MARK], "big")


def _counted(marks: bytes) -> frozenset[int]:
    return frozenset(int.from_bytes(marks[at : at + MARK], "big") for at in range(0, len(marks), MARK))


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
