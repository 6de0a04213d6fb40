"""What `backstay history --trend` answers: decay, deadlines, episodes of alarms and how they were answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from backstay.kernel.records import Interval


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode of alarms under one release.

    Args:
        began: when the first alarm was told; `detectors` those that raised one in it.
        continues: the trouble of an episode before it, which no release has ended yet.
        answered_by: number of the release that followed while it was open, `lead_days` after it began.
        quiet_at: when it ended by itself, where no release came first.
        restored_by: number of the later release under which the condition was first fine again.
        state: "answered", "open", or "quiet by itself".
    """

    release: int
    began: datetime
    window: str
    detectors: tuple[str, ...]
    continues: bool = False
    answered_by: int | None = None
    lead_days: float | None = None
    quiet_at: datetime | None = None
    restored_by: int | None = None
    restore_days: float | None = None
    state: str = "open"


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `n` with an exact interval; None where `n` is 0. `sentence` says it in words."""

    count: int
    n: int
    interval: Interval | None
    sentence: str
    named: tuple[str, ...] = ()
    too_early: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Durations:
    """Days, each one, and their median; an interval of it takes six."""

    n: int
    days: tuple[float, ...]
    median: float | None
    interval: Interval | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Point:
    """A share of right answers at a time: `n` labels ("labels"), or rows of a window ("label-free")."""

    at: datetime
    kind: str
    value: float
    interval: Interval
    n: int


@dataclass(frozen=True, slots=True)
class Reach:
    """A point of the line with its band, for charts: `measured` within what was watched, else looked ahead."""

    at: datetime
    value: float
    low: float
    high: float
    measured: bool


@dataclass(frozen=True, slots=True)
class Decay:
    """How accuracy changes while a release is live. `basis` is "labels" or "label-free".

    Args:
        per_week: change of accuracy in a week (0.01 is a point of a hundred), with `interval`.
        refused: windows of which there was no label-free estimate, for a line of such estimates; 0 for labels.
        now: accuracy by the line at the end of the last window, with its interval.
    """

    basis: str
    points: int
    labels: int
    per_week: float
    interval: Interval
    now: float
    now_interval: Interval
    refused: int
    line: tuple[Reach, ...]


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a release comes to its threshold: days from the end of its last window; `state` is "below", "between", "by",
    "not before", "not within", "was below" or "unknown" (see `maths.trend.Crossing`)."""

    threshold: float
    state: str
    earliest_days: float | None
    latest_days: float | None
    expected_days: float | None
    sentence: str


@dataclass(frozen=True, slots=True)
class ReleaseTrend:
    """One release while it was live. Where there is no decay, `why` says what is missing."""

    id: str
    sequence: int
    kind: str
    model_id: str
    since: datetime
    until: datetime | None
    windows: int
    labels: int
    right: int
    accuracy: float | None
    interval: Interval | None
    points: tuple[Point, ...]
    threshold: float | None
    decay: Decay | None
    deadline: Deadline | None
    why: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Momentum:
    """The whole answer. Nothing in it is a bare number: each has its interval and n, or says why it is not known."""

    model: str
    environment: str
    horizon_days: float
    worse_within: int
    tolerance: float
    releases: tuple[ReleaseTrend, ...]
    episodes: tuple[Episode, ...]
    lead_time: Durations
    failed_changes: Share
    time_to_restore: Durations
