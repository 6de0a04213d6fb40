"""Quality over releases as a figure: what was measured, the line of each release with its band, and its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import matplotlib.dates as mdates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from backstay.kernel.momentum import Momentum, Reach, ReleaseTrend
from backstay.kernel.plural import counted
from backstay.render.chart_part import ChartPart, Key, MarkLine
from backstay.render.charts import ESTIMATES, MARKS, lanes, paint_marks, x_of
from backstay.render.prose import estimate_name, mark_name, moment, percent
from backstay.render.svg import PALETTE, draw
from backstay.render.timeline import Mark

RELEASES = ("adopted", "promoted", "rollback")
CAPTION = (
    "Accuracy while each release was live, with 95% intervals; no two marks from labels share a label. The green "
    "line is the trend of a release, with its band; dotted, it looks ahead as far as was looked back. The dashed "
    "line is the release's threshold: the accuracy on its reference less the tolerance. Numbers are explained below."
)
_LANE_INCHES = 0.27


def momentum_chart(found: Momentum, marks: Sequence[Mark]) -> ChartPart:
    """The figure in two widths, its key and its marks; no figure where nothing was watched."""
    kinds = {p.kind for r in found.releases for p in r.points}
    keys = [
        Key(estimate_name(kind), *ESTIMATES[kind], line="bar") for kind in ("labels", "label-free") if kind in kinds
    ]
    if any(r.decay is not None for r in found.releases):
        keys.append(Key("trend of a release", "green", "", band=True))
    if any(r.threshold is not None for r in found.releases):
        keys.append(Key("threshold", "orange", "", "dashed"))
    empty = not kinds
    return ChartPart(
        wide="" if empty else _figure(found, marks, narrow=False, name="wide"),
        narrow="" if empty else _figure(found, marks, narrow=True, name="narrow"),
        accuracy_key=tuple(keys),
        evidence_key=(),
        marks=tuple(MarkLine(m.at, mark_name(m.kind), m.kind if m.kind in MARKS else "other", m.text) for m in marks),
    )


def _figure(found: Momentum, marks: Sequence[Mark], *, narrow: bool, name: str) -> str:
    titles = {f"mark-{i}": f"{mark_name(m.kind)}, {moment(m.at)}: {m.text}" for i, m in enumerate(marks, 1)}
    return draw(partial(_paint, found, marks, narrow), name=name, alt=describe(found), titles=titles)


def describe(found: Momentum) -> str:
    """The figure in words, for those who cannot see it."""
    told = [f"Accuracy over {counted(len(found.releases), 'release')}"]
    for release in found.releases:
        if release.decay is not None:
            low, high = release.decay.interval.low * 100, release.decay.interval.high * 100
            told.append(
                f"release {release.sequence}: now {percent(release.decay.now)}, changing by {low:+.2f} to {high:+.2f} "
                "points a week"
            )
    return "; ".join(told) + "."


def _paint(found: Momentum, marks: Sequence[Mark], narrow: bool) -> Figure:
    width = 4.6 if narrow else 11.0
    first, last = _span(found, marks)
    days = max((last - first).total_seconds() / 86_400, 1e-6)
    rows = lanes([(mark.at - first).total_seconds() / 86_400 for mark in marks], days * 0.27 / (width - 0.8))
    heights = [max(_LANE_INCHES * (max(rows, default=-1) + 1) + 0.05, 0.05), 3.6]
    tall = sum(heights) + 0.75
    figure = Figure(figsize=(width, tall))
    grid = figure.add_gridspec(
        2, 1, height_ratios=heights, hspace=0.05, left=0.62 / width, right=1 - 0.12 / width,
        top=1 - 0.08 / tall, bottom=0.45 / tall,
    )  # fmt: skip
    top, ax = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    paint_marks(top, marks, rows)
    for release in found.releases:
        _paint_release(ax, release, last)
    ax.set_ylim(*_limits(found))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.grid(axis="y", color=PALETTE["grid"], linewidth=0.8, zorder=0)
    ax.set_ylabel("accuracy")
    margin = (last - first) * 0.025
    for part in (top, ax):
        part.set_xlim(x_of(first - margin), x_of(last + margin))
        for mark in marks:
            if mark.kind in RELEASES:
                part.axvline(x_of(mark.at), color=PALETTE[MARKS[mark.kind][0]], linewidth=0.9, alpha=0.55, zorder=1)
    top.tick_params(axis="x", labelbottom=False, length=0)
    ax.tick_params(axis="y", length=0)
    locator = mdates.AutoDateLocator(minticks=2 if narrow else 3, maxticks=5 if narrow else 9)  # type: ignore[no-untyped-call]  # matplotlib leaves it untyped
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as above
    return figure


def _paint_release(ax: Axes, release: ReleaseTrend, last: datetime) -> None:
    for point in release.points:
        name, shape = ESTIMATES[point.kind]
        at, free = x_of(point.at), point.kind == "label-free"
        width, alpha = (1.2, 0.45) if free else (2.0, 0.85)
        ax.plot(
            [at, at], [point.interval.low, point.interval.high], "-", color=PALETTE[name], linewidth=width, alpha=alpha,
            zorder=3,
        )  # fmt: skip
        ax.plot([at], [point.value], shape, color=PALETTE[name], markersize=3.5 if free else 6, zorder=4)
    if release.decay is not None:
        line = [r for r in release.decay.line if r.measured]
        ahead = [line[-1], *(r for r in release.decay.line if not r.measured)]
        if release.until is not None:
            # What came after is another model's: nothing to look ahead to.
            ahead = []
        _paint_line(ax, line, "-", 0.16)
        _paint_line(ax, ahead, ":", 0.07)
    if release.threshold is not None and release.windows:
        until = release.until or last
        ax.plot(
            [x_of(release.since), x_of(until)], [release.threshold] * 2, "--", color=PALETTE["orange"], linewidth=1.3,
            zorder=2,
        )  # fmt: skip


def _paint_line(ax: Axes, line: Sequence[Reach], style: str, alpha: float) -> None:
    if not line:
        return
    times = [x_of(r.at) for r in line]
    colour = PALETTE["green"]
    ax.fill_between(
        times, [r.low for r in line], [r.high for r in line], color=colour, alpha=alpha, linewidth=0, zorder=1
    )
    ax.plot(times, [r.value for r in line], style, color=colour, linewidth=2.0, zorder=5)


def _span(found: Momentum, marks: Sequence[Mark]) -> tuple[datetime, datetime]:
    times = [m.at for m in marks]
    for release in found.releases:
        times += [release.since, *(p.at for p in release.points)]
        if release.decay is not None:
            times += [r.at for r in release.decay.line if r.measured or release.until is None]
    first, last = min(times), max(times)
    return (first, last) if last - first > timedelta(hours=1) else (first - timedelta(days=1), last + timedelta(days=1))


def _limits(found: Momentum) -> tuple[float, float]:
    """Around what was measured; a band that opens beyond it is cut off."""
    seen = [r.threshold for r in found.releases if r.threshold is not None]
    for release in found.releases:
        seen += [v for p in release.points for v in (p.interval.low, p.interval.high)]
    low, high = min(seen, default=0.5), max(seen, default=1.0)
    margin = max((high - low) * 0.08, 0.02)
    return max(low - margin, -0.02), min(high + margin, 1.01)
