"""The timeline as a figure: accuracy above, evidence below, what happened as numbered marks on top."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import matplotlib.dates as mdates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from backstay.render.prose import mark_name, moment, percent
from backstay.render.svg import PALETTE, draw
from backstay.render.timeline import REFUSED, EstimatePoint, EvidenceSeries, Mark, Timeline

# Matplotlib counts days from here.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FLOOR, CEILING = 0.01, 100.0
TRUTH = "true accuracy (known to the demo only)"
# Colour and marker: no two series differ by colour alone.
ESTIMATES = {
    "label-free": ("blue", "o"),
    "ppi": ("orange", "D"),
    "labels": ("purple", "s"),
    "stratified": ("green", "^"),
}
SERIES = (("blue", "o"), ("purple", "^"), ("green", "s"), ("gold", "D"), ("sky", "v"), ("orange", "P"))
MARKS = {
    "adopted": ("ink", "o"),
    "promoted": ("green", "o"),
    "rollback": ("blue", "o"),
    "refused": ("orange", "s"),
    "alarm": ("gold", "^"),
    "labels": ("purple", "o"),
}
RELEASES = ("adopted", "promoted", "rollback")
_LANE_INCHES = 0.27


def timeline_figure(timeline: Timeline, *, narrow: bool = False, name: str = "timeline") -> str:
    """The timeline as `<svg>`; "" when there is nothing to show. `narrow` is laid out for a telephone."""
    if timeline.empty:
        return ""
    titles = {f"mark-{i}": f"{mark_name(m.kind)}, {moment(m.at)}: {m.text}" for i, m in enumerate(timeline.marks, 1)}
    return draw(partial(_paint, timeline, narrow), name=name, alt=describe(timeline), titles=titles)


def describe(timeline: Timeline) -> str:
    """The figure in words, for those who cannot see it."""
    parts = [f"Timeline of {len(timeline.windows)} windows"]
    if timeline.truth:
        values = [value for _, value in timeline.truth]
        parts.append(f"true accuracy between {percent(min(values))} and {percent(max(values))}")
    given = [p.value for p in timeline.estimates if p.value is not None]
    if given:
        parts.append(f"estimated accuracy between {percent(min(given))} and {percent(max(given))}")
    refused = sum(point.kind == REFUSED for point in timeline.estimates)
    if refused:
        parts.append(f"{refused} estimates refused")
    for series in timeline.evidence:
        over = sum(value is not None and value >= 1 for _, value in series.points)
        parts.append(f"{series.detector} over its threshold in {over} of them")
    return "; ".join(parts) + f"; {len(timeline.marks)} marks, listed below the figure."


def lanes(times: Sequence[float], least: float) -> list[int]:
    """For times in order, the lane of each so that neighbours in one lane are `least` apart.

    >>> lanes([0.0, 1.0, 1.5, 9.0], 2.0)
    [0, 1, 2, 0]
    """
    last: list[float] = []
    found = []
    for time in times:
        lane = next((i for i, before in enumerate(last) if time - before >= least), len(last))
        if lane == len(last):
            last.append(time)
        last[lane] = time
        found.append(lane)
    return found


def _paint(timeline: Timeline, narrow: bool) -> Figure:
    width = 4.6 if narrow else 11.0
    first, last = _span(timeline)
    days = max((last - first).total_seconds() / 86_400, 1e-6)
    offsets = [(mark.at - first).total_seconds() / 86_400 for mark in timeline.marks]
    rows = lanes(offsets, days * 0.27 / (width - 0.8))
    top = _LANE_INCHES * (max(rows, default=-1) + 1) + 0.05
    heights = [max(top, 0.05), 2.9, 1.9 if timeline.evidence else 0.01]
    figure = Figure(figsize=(width, sum(heights) + 0.85))
    grid = figure.add_gridspec(
        3, 1, height_ratios=heights, hspace=0.06, left=0.62 / width, right=1 - 0.12 / width,
        top=1 - 0.08 / (sum(heights) + 0.85), bottom=0.46 / (sum(heights) + 0.85),
    )  # fmt: skip
    axes = [figure.add_subplot(grid[i]) for i in range(3)]
    paint_marks(axes[0], timeline.marks, rows)
    _paint_accuracy(axes[1], timeline)
    _paint_evidence(axes[2], timeline.evidence)
    margin = (last - first) * 0.025
    for ax in axes:
        ax.set_xlim(x_of(first - margin), x_of(last + margin))
        for mark in timeline.marks:
            if mark.kind in RELEASES and (ax is not axes[2] or timeline.evidence):
                ax.axvline(x_of(mark.at), color=PALETTE[MARKS[mark.kind][0]], linewidth=0.9, alpha=0.55, zorder=1)
    bottom = axes[2] if timeline.evidence else axes[1]
    for ax in axes:
        ax.tick_params(axis="x", labelbottom=ax is bottom, length=3 if ax is bottom else 0)
        ax.tick_params(axis="y", length=0)
    locator = mdates.AutoDateLocator(minticks=2 if narrow else 3, maxticks=5 if narrow else 9)  # type: ignore[no-untyped-call]  # matplotlib leaves it untyped
    bottom.xaxis.set_major_locator(locator)
    bottom.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as above
    return figure


def _span(timeline: Timeline) -> tuple[datetime, datetime]:
    times = [t for window in timeline.windows for t in (window.start, window.end)]
    times += [mark.at for mark in timeline.marks]
    first, last = min(times), max(times)
    # An axis of less than an hour has no dates to put on it.
    return (first, last) if last - first > timedelta(hours=1) else (first - timedelta(days=1), last + timedelta(days=1))


def paint_marks(ax: Axes, marks: Sequence[Mark], rows: Sequence[int]) -> None:
    """Numbered marks in lanes, above whatever the figure shows."""
    ax.set_ylim(max(rows, default=0) + 0.55, -0.6)
    ax.yaxis.set_major_locator(NullLocator())
    ax.xaxis.set_major_locator(NullLocator())
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    for number, (mark, row) in enumerate(zip(marks, rows, strict=True), 1):
        colour, shape = MARKS.get(mark.kind, ("muted", "o"))
        size = 17 if shape == "^" else 14
        ax.plot(
            [x_of(mark.at)], [row], shape, color=PALETTE[colour], markersize=size, clip_on=False, gid=f"mark-{number}"
        )
        low = 0.11 if shape == "^" else 0.02
        ax.text(
            x_of(mark.at), row + low, str(number), ha="center", va="center", fontsize=7.5, fontweight="bold",
            color=PALETTE["paper"], clip_on=False, zorder=5,
        )  # fmt: skip


def _paint_accuracy(ax: Axes, timeline: Timeline) -> None:
    runs = _runs(timeline, "label-free")
    colour = PALETTE["blue"]
    for run in runs:
        times = [x_of(p.at) for p in run]
        values = [_number(p.value) for p in run]
        lows = [_number(p.value if p.low is None else p.low) for p in run]
        highs = [_number(p.value if p.high is None else p.high) for p in run]
        ax.fill_between(times, lows, highs, color=colour, alpha=0.18, linewidth=0, zorder=2)
        ax.plot(times, values, "-o", color=colour, linewidth=1.6, markersize=4, zorder=4)
    if timeline.truth:
        times = [x_of(at) for at, _ in timeline.truth]
        ax.plot(times, [v for _, v in timeline.truth], "--", color=PALETTE["ink"], linewidth=1.7, zorder=3)
    shift = _shift(timeline)
    for point in timeline.estimates:
        if point.kind == REFUSED or point.kind == "label-free" or point.value is None:
            continue
        name, shape = ESTIMATES.get(point.kind, ("sky", "P"))
        at = x_of(point.at + shift)
        if point.low is not None and point.high is not None:
            ax.plot([at, at], [point.low, point.high], "-", color=PALETTE[name], linewidth=2, alpha=0.8, zorder=5)
        ax.plot([at], [point.value], shape, color=PALETTE[name], markersize=6, zorder=6)
    low, high = _limits(timeline)
    ax.set_ylim(low, high)
    refused = sorted({p.at for p in timeline.estimates if p.kind == REFUSED})
    floor = low + 0.035 * (high - low)
    ax.plot([x_of(at) for at in refused], [floor] * len(refused), "x", color=PALETTE["muted"], markersize=6, zorder=6)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.grid(axis="y", color=PALETTE["grid"], linewidth=0.8, zorder=0)
    ax.set_ylabel("accuracy")


def _runs(timeline: Timeline, kind: str) -> list[list[EstimatePoint]]:
    """Estimates of one kind in unbroken stretches of windows, so that no line crosses a refusal."""
    by_time = {p.at: p for p in timeline.estimates if p.kind == kind and p.value is not None}
    runs: list[list[EstimatePoint]] = [[]]
    for window in timeline.windows:
        point = by_time.get(window.middle)
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return [run for run in runs if run]


def _shift(timeline: Timeline) -> timedelta:
    """How far estimates from labels stand to the right, so that they hide no other."""
    if not timeline.windows:
        return timedelta(0)
    return min(window.end - window.start for window in timeline.windows) * 0.18


def _limits(timeline: Timeline) -> tuple[float, float]:
    seen = [value for _, value in timeline.truth]
    for point in timeline.estimates:
        seen += [v for v in (point.value, point.low, point.high) if v is not None and math.isfinite(v)]
    low, high = min(seen, default=0.5), max(seen, default=1.0)
    margin = max((high - low) * 0.08, 0.02)
    return max(low - 1.5 * margin, -0.02), min(high + margin, 1.01)


def _paint_evidence(ax: Axes, evidence: Sequence[EvidenceSeries]) -> None:
    if not evidence:
        ax.set_axis_off()
        return
    ax.set_yscale("log")
    for index, series in enumerate(evidence):
        colour, shape = SERIES[index % len(SERIES)]
        times = [x_of(at) for at, _ in series.points]
        values = [math.nan if v is None else min(max(v, FLOOR), CEILING) for _, v in series.points]
        ax.plot(times, values, f"-{shape}", color=PALETTE[colour], linewidth=1.3, markersize=3.8, zorder=3 + index)
    ax.set_ylim(FLOOR * 0.8, CEILING * 1.3)
    ax.axhspan(1.0, CEILING * 1.3, color=PALETTE["orange"], alpha=0.07, linewidth=0, zorder=0)
    ax.axhline(1.0, color=PALETTE["orange"], linewidth=1.3, zorder=2)
    ax.text(
        0.004,
        1.15,
        "alarm at 1",
        transform=ax.get_yaxis_transform(),
        color=PALETTE["orange"],
        fontsize=8.5,
        va="bottom",
    )
    ax.yaxis.set_major_locator(LogLocator(base=10, numticks=6))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(_times))
    ax.grid(axis="y", color=PALETTE["grid"], linewidth=0.8, zorder=0)
    ax.set_ylabel("evidence ÷ threshold")


def _times(value: float, _position: int) -> str:
    text = f"{value:g}"
    if value <= FLOOR:
        return "≤" + text
    return "≥" + text if value >= CEILING else text


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def x_of(at: datetime) -> float:
    """A time as matplotlib counts it."""
    return (at - EPOCH).total_seconds() / 86_400
