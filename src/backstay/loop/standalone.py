"""Watching without a project: traffic against a reference, in memory, with nothing written anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np

from backstay.data.batches import Batches
from backstay.kernel.clock import Clock, SystemClock
from backstay.kernel.errors import BackstayError, nearest
from backstay.kernel.ports import NoProgress, Progress
from backstay.kernel.records import Label, LabelUse, WindowResult
from backstay.labels.known import refuse_unlike
from backstay.loop.lens import LABEL, Lens, Roles
from backstay.loop.seen import NAME, PLACE, Seen, examples_of, missed_of, reference_examples, wanted_of
from backstay.loop.standalone_checks import check_budget, check_cuts, check_names, class_name, listed, named
from backstay.loop.standalone_settings import DEFAULT_DAYS, is_alpha, settings_of, spending
from backstay.loop.standalone_words import plainly, told_alone
from backstay.maths.arrays import AnyArray
from backstay.maths.classification import declined
from backstay.maths.labelfree_metrics import METRICS
from backstay.maths.sketches.profile import ColumnProfile
from backstay.monitor.fitted import Detectors
from backstay.monitor.memory import Memory
from backstay.monitor.reference import Reference
from backstay.monitor.sample import RowSample, joined, take
from backstay.monitor.sketch import WindowSketch
from backstay.monitor.traffic import SCORES, LabelledRow, WindowData
from backstay.monitor.watch import watch_window
from backstay.monitor.windows import stamp
from backstay.render.examples import Example
from backstay.settings import Settings

RELEASE = "reference"
# Detectors that need no log, no release before and no slices.
ALONE = (
    "embedding",
    "prediction",
    "columns",
    "labelled_error",
    "confident_errors",
    "exchangeability",
    "geometry",
    "novelty",
    "schema",
)
SAMPLED = 10_000
# So many labels of classes that are never answered are written in another way; fewer may be of a new class.
FEWEST_TO_REFUSE = 10
EPOCH = datetime(1970, 1, 5, tzinfo=UTC)  # a Monday, so that weeks begin as people's do


@plainly()
def watch(
    traffic: Any,
    *,
    reference: Any,
    prediction: str | None = None,
    score: str | None = None,
    scores: Mapping[Any, str] | None = None,
    positive: object = None,
    embedding: str | None = None,
    label: str | None = None,
    time: str | None = None,
    group: str | None = None,
    id: str | None = None,  # noqa: A002 - the settings' word for it
    features: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    window_days: float | None = None,
    window_rows: int | None = None,
    season: Literal["none", "day", "week", "year"] = "none",
    metrics: Sequence[str] = (),
    detectors: Sequence[str] | None = None,
    false_alarms_per_year: float = 1.0,
    alpha: float | None = None,
    time_zone: str | None = None,
    profile: bool = False,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> Seen:
    """Has this traffic moved from the reference, and is the model worse? No project is made, nothing is written.

    A Parquet file, or a folder of them, is streamed: memory does not grow with its rows. Rows with groups are the
    exception: they are kept, since how they hang together cannot be told from sums; so are all rows with a season.

    Args:
        traffic: a path, a pandas, polars or pyarrow frame, or embeddings as a NumPy array [rows, width].
        reference: rows of the same kind that the model was known to do well on.
        prediction: column of the answers. `score` is the probability of `positive`, or `scores` names a column for
            each class; rows of the traffic may lack it. `embedding` holds lists of numbers. `label`: true values, null
            where they are not known.
        time, group, id: columns of times, of whose rows belong together, and of names for rows.
        features: the inputs to watch; all columns without a role unless named. `ignore` leaves some out.
        window_days: cut by time into windows of this length, from a Monday at midnight UTC. `window_rows`: cut by
            number, in the order of the rows; the last window may be smaller. Otherwise all rows are one window. The
            headline then counts the windows that moved, and the condition is the gravest; `latest` stands now.
        season: what repeats and is no news. Rows are compared with reference rows of the same three hours of the day,
            six hours of the week or seven days of the year, in UTC; both need `time`.
        metrics: estimated beside accuracy, by labels and without: "auc", "f1", "precision", "recall" and
            "balanced_accuracy".
        detectors: which ones look, of "embedding", "prediction", "columns", "labelled_error", "confident_errors" (these
            five unless named), "exchangeability", "geometry", "novelty" and "schema"; they share the false alarms.
        false_alarms_per_year: what you accept, over all detectors; a window spends its share by its length. Without
            times a window counts as a week.
        alpha: accept this chance of a false alarm in each window instead, at most .05 for each detector.
        profile: also keep quantiles and distinct values of every column of the traffic (needs `backstay[profile]`).
        progress: told how many rows have been read.

    Raises:
        BackstayError: a column that is not there, values that cannot be read, or a reference that is too small.
    """
    check_names(prediction=prediction, score=score, embedding=embedding, label=label, time=time, group=group, id=id)
    check_cuts(window_days, window_rows, time)
    check_budget(false_alarms_per_year)
    metrics, ignore = listed(metrics), listed(ignore)
    features, detectors = (None if names is None else listed(names) for names in (features, detectors))
    if season != "none" and time is None:
        raise BackstayError(f"a season of the {season} needs times", fix="name the column with time=")
    if alpha is not None and not is_alpha(alpha):
        raise BackstayError(f"alpha is {alpha!r}", fix="give a chance of a false alarm between 1e-9 and .25")
    unknown = sorted(set(metrics) - set(METRICS))
    if unknown:
        raise BackstayError(f"no estimate without labels of {unknown[0]!r}", fix=nearest(unknown[0], METRICS))
    strange = [name for name in detectors or () if name not in ALONE]
    if strange or (detectors is not None and not detectors):
        what = f"no detector {strange[0]!r} without a project" if strange else "detectors is empty: nothing would look"
        raise BackstayError(what, fix=nearest(strange[0], ALONE) if strange else f"name some of {', '.join(ALONE)}")
    if features is not None and not features and prediction is None and embedding is None:
        raise BackstayError("features is empty, so there is nothing to watch", fix="name columns, or leave it out")
    roles = Roles(prediction, score, named(scores), class_name(positive), embedding, label, time, group, id)
    clock = clock or SystemClock()
    known = Batches.of(reference, array_name=embedding or "embedding")
    live = Batches.of(traffic, array_name=embedding or "embedding")
    if isinstance(traffic, np.ndarray) and embedding is None:
        roles = replace(roles, embedding="embedding")
    lens, rows = Lens.fit(
        known,
        roles,
        features=features,
        ignore=ignore,
        time_zone=time_zone,
        timed=season != "none",
        live=live.names,
    )
    settings = settings_of(false_alarms_per_year, window_days, season, metrics, detectors)
    fitted = Detectors.fit(rows, settings, key=RELEASE)
    cutting = _Cutting(window_days, window_rows, clock.now(), live.rows)
    profiles: dict[str, ColumnProfile] = {}
    # So few rows are all in the sample that goes with a sketch: sketches of them would spare nothing. Nor does a sketch
    # tell which rows have no score.
    gathered = _Gathered(fitted, keep_rows=season != "none" or live.rows <= SAMPLED or lens.scoreless(live))
    windows = _read(live, lens, gathered, cutting, progress or NoProgress(), profiles if profile else None)
    seen = _judged(windows, fitted, settings, alpha, clock, timed=time is not None)
    seen = replace(seen, timed=time is not None)
    return replace(seen, profile=profiles, reference_examples=reference_examples(rows)).noting(lens.notes)


@dataclass(frozen=True, slots=True)
class _Cutting:
    """Which window a row belongs to: by its time, by its place, or all to one."""

    days: float | None
    rows: int | None
    now: datetime
    total: int

    def split(self, part: WindowData, first: int) -> Iterator[tuple[int, WindowData]]:
        """The part's rows by number of their window."""
        if self.days is not None:
            micro = int(self.days * 86_400e6)
            origin = np.datetime64(EPOCH.replace(tzinfo=None), "us")
            numbers = (part.times - origin).astype(np.int64) // micro
        elif self.rows is not None:
            numbers = np.arange(first, first + len(part)) // self.rows
        else:
            yield 0, part
            return
        for number in np.unique(numbers).tolist():
            yield number, take(part, np.flatnonzero(numbers == number))

    def bounds(self, number: int, last: int, timed: bool, whole: WindowData) -> tuple[datetime, datetime]:
        """From when to when a window is; one without times counts as a week, the last of them ending now."""
        if self.days is not None:
            start = EPOCH + number * timedelta(days=self.days)
            return start, start + timedelta(days=self.days)
        if timed:
            return whole.start, whole.end
        end = self.now - (last - number) * timedelta(days=DEFAULT_DAYS)
        return end - timedelta(days=DEFAULT_DAYS), end


@dataclass(slots=True, eq=False)
class _Gathered:
    """The windows so far: by sketches, or by all their rows where these belong to groups or go by a season."""

    detectors: Detectors
    keep_rows: bool = False
    sketches: dict[int, WindowSketch] = field(default_factory=dict)
    rows: dict[int, list[WindowData]] = field(default_factory=dict)

    def add(self, number: int, part: WindowData) -> None:
        if self.keep_rows or part.groups is not None:
            self.rows.setdefault(number, []).append(part)
            return
        before = self.sketches.get(number)
        if before is None:
            before = replace(WindowSketch.empty(self.detectors), sample=RowSample(SAMPLED))
        self.sketches[number] = before.add(part, self.detectors)

    def windows(self) -> Iterator[tuple[int, WindowData]]:
        """Oldest first; each is let go as it is given."""
        for number in sorted(self.sketches):
            yield number, self.sketches.pop(number).window()
        for number in sorted(self.rows):
            whole = _scored(joined(self.rows.pop(number)))
            start, end = (at.astype("datetime64[us]").astype(datetime) for at in (whole.times.min(), whole.times.max()))
            yield (
                number,
                replace(
                    whole, start=start.replace(tzinfo=UTC), end=end.replace(tzinfo=UTC) + timedelta(microseconds=1)
                ),
            )


def _scored(window: WindowData) -> WindowData:
    """A window of which no row has a score has none."""
    missing = window.lacks.get(SCORES)
    return window if missing is None or not missing.all() else replace(window, scores=None, lacks={})


def _read(
    live: Batches,
    lens: Lens,
    gathered: _Gathered,
    cutting: _Cutting,
    progress: Progress,
    profiles: dict[str, ColumnProfile] | None,
) -> Iterator[WindowData]:
    first = 0
    with progress.step("rows", total=live.rows) as tick:
        for table in live.read(lens.reads(live.names)):
            part = lens.window(table, first, cutting.now)
            for number, piece in cutting.split(part, first):
                gathered.add(number, piece)
            if profiles is not None:
                _profile(part, profiles)
            first += table.num_rows
            tick(table.num_rows)
    last = max([*gathered.sketches, *gathered.rows])
    timed = lens.roles.time is not None
    for number, whole in gathered.windows():
        start, end = cutting.bounds(number, last, timed, whole)
        if not timed:
            whole = replace(whole, times=np.full(len(whole), stamp(end) - np.timedelta64(1, "us")))
        yield replace(whole, start=start, end=end)


def _profile(part: WindowData, profiles: dict[str, ColumnProfile]) -> None:
    for name, values in part.columns.items():
        if name != LABEL:
            found = ColumnProfile.of(values)
            profiles[name] = profiles[name].merge(found) if name in profiles else found


def _judged(
    windows: Iterator[WindowData],
    detectors: Detectors,
    settings: Settings,
    alpha: float | None,
    clock: Clock,
    *,
    timed: bool,
) -> Seen:
    memory: Memory | None = None
    results: list[WindowResult] = []
    window: WindowData | None = None
    shown: dict[str, Example] = {}
    missed: dict[int, Example] = {}
    for window in windows:
        memory = memory or Memory.start(RELEASE, window.start)
        if memory.last_end is not None and window.start < memory.last_end:  # rows of two windows of so many rows each
            end = max(window.end, memory.last_end + timedelta(microseconds=1))
            window = replace(window, start=memory.last_end, end=end)
        window = replace(window, labels=_labelled(window, detectors.reference))
        given = settings if alpha is None else spending(settings, alpha, window.days)
        result, memory = watch_window(memory, window, detectors, given, clock)
        results.append(told_alone(result, timed))
        if any(signal.alarm for signal in result.signals):
            shown |= examples_of(window, wanted_of(result), hidden=LABEL)
            missed |= missed_of(result, detectors.reference)
    if window is None:
        raise BackstayError("the traffic has no rows", fix="give at least one row")
    shown |= examples_of(window, wanted_of(results[-1]), hidden=LABEL)
    return Seen(tuple(results), shown, missed_examples=missed)


def _labelled(window: WindowData, reference: Reference) -> tuple[LabelledRow, ...]:
    """Labels of the rows at hand: every row has its label or nobody's, so they speak for all."""
    labels: AnyArray | None = window.columns.get(LABEL)
    if labels is None:
        return ()
    known = sum(value is not None for value in labels)
    if reference.answered and not reference.none_label and known >= FEWEST_TO_REFUSE:
        refuse_unlike(labels, reference.classes, label="label", prediction="prediction")
    times = window.times.astype("datetime64[us]").tolist()
    found = []
    for place in (i for i, value in enumerate(labels) if value is not None):
        at = times[place].replace(tzinfo=UTC)
        label = Label(
            prediction_id=str(window.ids[place]),
            value=labels[place],
            source=LABEL,
            trusted=True,
            adjudicated=False,
            use=LabelUse.STANDING,
            at=at,
            model=NAME,
            environment=PLACE,
            group=None if window.groups is None else str(window.groups[place] or "") or None,
        )
        scores = None if window.scores is None else tuple(window.scores[place].tolist())
        if scores is not None and not np.all(np.isfinite(scores)):
            scores = None
        answer = str(window.predicted[place])
        none = declined(answer, labels[place], reference.classes, reference.none_label)
        found.append(LabelledRow(label, answer, at, scores, census=True, declined=none))
    return tuple(found)
