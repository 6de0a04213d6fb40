"""Where quality is going: how fast each release decays, when it meets its threshold, and how people keep up.

From records alone. A trend is made of the labels that each look counted (`labels_counted`), so that no label is in it
twice; the windows' own estimates lean on labels of up to a month and would be. Where there are too few labels, it is
made of the label-free estimates and says so: these share the reference, whose error no number of windows takes away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from backstay.kernel.momentum import Deadline, Decay, Momentum, Point, Reach, ReleaseTrend
from backstay.kernel.plural import counted
from backstay.kernel.records import Interval, Release, WindowResult
from backstay.maths.intervals import clopper_pearson
from backstay.maths.trend import LEAST_POINTS, Crossing, Line, crossing, fit_line, worth
from backstay.monitor.responses import (
    WORSE_WITHIN,
    episodes_of,
    failed_changes,
    lead_times,
    restore_times,
    windows_of,
)

HORIZON_DAYS = 365.0
# Labels below which no line is drawn through them.
LEAST_LABELS = 30
# Labels that make one mark of a chart; the line itself is made of the windows.
CHART_LABELS = 30
WEEK = 7.0
DAY = 86_400.0


def momentum(
    results: Sequence[WindowResult],
    releases: Sequence[Release],
    *,
    model: str,
    environment: str,
    tolerance: float,
    quiet_windows: int,
    horizon_days: float = HORIZON_DAYS,
    worse_within: int = WORSE_WITHIN,
) -> Momentum:
    """All figures from the windows and releases of one model in one environment, in any order."""
    ordered = sorted(releases, key=lambda r: r.sequence)
    episodes = episodes_of(results, ordered, quiet_windows)
    following = [*ordered[1:], None]
    trends = tuple(
        _release(release, later, windows_of(results, release), tolerance, horizon_days)
        for release, later in zip(ordered, following, strict=True)
    )
    return Momentum(
        model=model,
        environment=environment,
        horizon_days=horizon_days,
        worse_within=worse_within,
        tolerance=tolerance,
        releases=trends,
        episodes=tuple(episodes),
        lead_time=lead_times(episodes),
        failed_changes=failed_changes(results, ordered, worse_within),
        time_to_restore=restore_times(episodes),
    )


@dataclass(frozen=True, slots=True)
class _Cell:
    """Labels of one window's predictions."""

    at: datetime
    labels: int
    right: int


def _release(
    release: Release, later: Release | None, windows: list[WindowResult], tolerance: float, horizon: float
) -> ReleaseTrend:
    cells = _cells(windows)
    labels, right = sum(c.labels for c in cells), sum(c.right for c in cells)
    part = _independent_part(windows)
    free = _label_free(windows)
    threshold = _threshold(windows, tolerance)
    line, basis, why = _line(cells, part, free, release.created_at)
    if not windows:
        why = "no window of it has been watched"
    decay = deadline = None
    if line is not None:
        end = _days(release.created_at, windows[-1].end)
        decay = _decay(line, basis, labels if basis == "labels" else 0, release, windows, horizon)
        if threshold is not None:
            blind = basis == "label-free" and not _estimated(windows[-1])
            deadline = _blind(threshold) if blind else _deadline(line, threshold, end, horizon, over=later is not None)
    interval = None if labels == 0 else Interval(*clopper_pearson(right * part, labels * part), 0.95, "exact")
    return ReleaseTrend(
        id=release.id,
        sequence=release.sequence,
        kind=release.kind.value,
        model_id=release.model_id,
        since=release.created_at,
        until=None if later is None else later.created_at,
        windows=len(windows),
        labels=labels,
        right=right,
        accuracy=right / labels if labels else None,
        interval=interval,
        points=(*_chart_points(cells, part), *free),
        threshold=threshold,
        decay=decay,
        deadline=deadline,
        why=why,
        sentence=_sentence(decay, deadline, why),
    )


def _cells(windows: Sequence[WindowResult]) -> list[_Cell]:
    """Labels by the window their rows were predicted in: what each look counted, added up."""
    found: dict[str, _Cell] = {}
    for window in windows:
        for entry in window.figures.get("labels_counted", ()):
            at, labels, right = datetime.fromisoformat(entry["at"]), int(entry["labels"]), int(entry["right"])
            old = found.get(entry["start"])
            if old is not None:
                at = old.at + (at - old.at) * (labels / (labels + old.labels))
                labels, right = labels + old.labels, right + old.right
            found[entry["start"]] = _Cell(at, labels, right)
    return sorted(found.values(), key=lambda cell: cell.at)


def _independent_part(windows: Sequence[WindowResult]) -> float:
    """Independent labels in each label, 0 to 1: below 1 where labelled rows share groups."""
    estimates = [
        e
        for w in windows
        for e in w.estimates
        if e.kind in ("ppi", "labels") and e.metric == "accuracy" and e.labels > 0
    ]
    total = sum(e.labels for e in estimates)
    if total == 0:
        return 1.0
    effect = sum(e.labels * max(float(e.figures.get("design_effect", 1.0)), 1.0) for e in estimates) / total
    return 1.0 / effect


def _label_free(windows: Sequence[WindowResult]) -> list[Point]:
    return [
        Point(w.start + (w.end - w.start) / 2, "label-free", e.value, e.interval, w.rows)
        for w in windows
        for e in w.estimates
        if e.kind == "label-free" and e.metric == "accuracy" and e.value is not None and e.interval is not None
    ]


def _estimated(window: WindowResult) -> bool:
    """Whether the label-free estimate of a window was given, not refused."""
    told = ("accuracy", "mae")
    return any(e.kind == "label-free" and e.metric in told and e.value is not None for e in window.estimates)


def _threshold(windows: Sequence[WindowResult], tolerance: float) -> float | None:
    """Reference accuracy less what nobody minds."""
    known = next((w.figures["reference_accuracy"] for w in windows[::-1] if "reference_accuracy" in w.figures), None)
    return None if known is None else float(known["value"]) - tolerance


def _line(cells: Sequence[_Cell], part: float, free: Sequence[Point], since: datetime) -> tuple[Line | None, str, str]:
    """The line through labels, else through label-free estimates, else why there is none. Days count from `since`."""
    labels = sum(c.labels for c in cells)
    if len(cells) >= LEAST_POINTS and labels >= LEAST_LABELS:
        rows = np.asarray([c.labels * part for c in cells], dtype=np.float64)
        shares = np.asarray([c.right / c.labels for c in cells], dtype=np.float64)
        return fit_line(np.asarray([_days(since, c.at) for c in cells]), shares, rows), "labels", ""
    usable = [p for p in free if p.interval.low <= p.value <= p.interval.high and p.interval.high > p.interval.low]
    if len(usable) >= LEAST_POINTS:
        rows = np.asarray([worth(p.value, p.interval.low, p.interval.high) for p in usable])
        values = np.asarray([p.value for p in usable])
        # What windows share through the reference is at most all of the error of the best of them.
        shared = float(np.min(values.mean() * (1.0 - values.mean()) / rows))
        return fit_line(np.asarray([_days(since, p.at) for p in usable]), values, rows, shared), "label-free", ""
    seen = counted(len(cells), "window")
    have = f"{counted(labels, 'label')} in {seen} and {counted(len(usable), 'estimate')} without labels"
    want = f"{LEAST_LABELS} labels in {LEAST_POINTS} windows, or {LEAST_POINTS} estimates"
    return None, "", f"there {'is' if labels == 1 else 'are'} {have}; a line takes {want}"


def _decay(
    line: Line, basis: str, labels: int, release: Release, windows: Sequence[WindowResult], horizon: float
) -> Decay:
    start, end = _days(release.created_at, windows[0].start), _days(release.created_at, windows[-1].end)
    low, high = line.slope_interval
    now = line.band(end)
    # A picture looks ahead as far as was looked back, and never beyond the horizon.
    ahead = end + min(end - start, horizon)
    moments = [(t, True) for t in np.linspace(start, end, 13)] + [(t, False) for t in np.linspace(end, ahead, 7)[1:]]
    return Decay(
        basis=basis,
        points=line.points,
        labels=labels,
        per_week=line.slope * WEEK,
        interval=Interval(low * WEEK, high * WEEK, 0.95, "weighted line"),
        now=float(np.clip(line.at(end), 0.0, 1.0)),
        now_interval=Interval(now.low, now.high, 0.95, "weighted line"),
        refused=0 if basis == "labels" else sum(not _estimated(w) for w in windows),
        line=tuple(
            Reach(
                release.created_at + timedelta(days=float(t)), float(np.clip(line.at(t), 0, 1)), *line.band(t), measured
            )
            for t, measured in moments
        ),
    )


def _deadline(line: Line, threshold: float, now: float, horizon: float, *, over: bool) -> Deadline:
    found = crossing(line, threshold, now, now + horizon)

    def ahead(time: float | None) -> float | None:
        return None if time is None else max(time - now, 0.0)

    earliest, latest, expected = ahead(found.earliest), ahead(found.latest), ahead(found.expected)
    if over and found.state == "unknown":
        said = f"whether it was at the threshold of {threshold:.1%} when it was replaced cannot be told"
        return Deadline(threshold, found.state, None, None, None, said)
    return Deadline(
        threshold, found.state, earliest, latest, expected, _when(found, threshold, horizon, earliest, latest, expected)
    )


def _blind(threshold: float) -> Deadline:
    """Estimates without labels that end before now say nothing of now."""
    said = "when it meets its threshold cannot be told: the newest window's estimate was refused; label some rows"
    return Deadline(threshold, "unknown", None, None, None, said)


def _when(
    found: Crossing,
    threshold: float,
    horizon: float,
    earliest: float | None,
    latest: float | None,
    expected: float | None,
) -> str:
    where = f"the threshold of {threshold:.1%}"
    within = "a year" if horizon == HORIZON_DAYS else f"{horizon:.0f} days"
    if found.state == "below":
        return f"below {where} already"
    if found.state == "was below":
        return f"below {where} on average while it was watched; where it is now cannot be told"
    if found.state == "not within":
        return f"above {where} for {within} at least; no further is looked"
    if found.state == "between":
        return f"at {where} in {expected:.0f} days, between {earliest:.0f} and {latest:.0f}"
    if found.state == "by":
        return f"at {where} within {latest:.0f} days, if it is not there already"
    if found.state == "not before":
        return f"not at {where} before {earliest:.0f} days; whether within {within} cannot be told yet"
    return f"when it meets {where} cannot be told yet: it may be there now, and may not be in {within}"


def _sentence(decay: Decay | None, deadline: Deadline | None, why: str) -> str:
    if decay is None:
        return f"Decay is not known yet, because {why}."
    low, high = decay.interval.low * 100, decay.interval.high * 100
    word = "falls" if high < 0 else "rises" if low > 0 else "neither falls nor rises as far as can be told"
    source = f"{decay.labels} labels" if decay.basis == "labels" else "estimates without labels"
    if decay.refused:
        more = "1 more window" if decay.refused == 1 else f"{decay.refused} more windows"
        source += f", refused in {more}, of which this says nothing"
    said = (
        f"Accuracy {word}: {decay.per_week * 100:+.2f} points a week ({low:+.2f} to {high:+.2f}; "
        f"{decay.points} windows, {source})"
    )
    return f"{said}; {deadline.sentence}." if deadline is not None else f"{said}; its threshold is not known."


def _chart_points(cells: Sequence[_Cell], part: float) -> list[Point]:
    """Neighbouring windows joined until they hold 30 labels: marks that share no label and can be read."""
    found: list[Point] = []
    held: list[_Cell] = []
    for place, cell in enumerate(cells):
        held.append(cell)
        labels = sum(c.labels for c in held)
        rest = sum(c.labels for c in cells[place + 1 :])
        if rest == 0 or (labels >= CHART_LABELS and rest >= CHART_LABELS):
            right = sum(c.right for c in held)
            at = held[0].at + sum(((c.at - held[0].at) * c.labels for c in held), timedelta()) / labels
            low, high = clopper_pearson(right * part, labels * part)
            found.append(Point(at, "labels", right / labels, Interval(low, high, 0.95, "exact"), labels))
            held = []
    return found


def _days(since: datetime, at: datetime) -> float:
    return (at - since).total_seconds() / DAY
