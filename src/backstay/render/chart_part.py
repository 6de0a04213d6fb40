"""The timeline for a page: the figure in two widths, its keys and its list of marks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from backstay.render.charts import ESTIMATES, MARKS, RELEASES, SERIES, TRUTH, timeline_figure
from backstay.render.prose import estimate_name, mark_name
from backstay.render.timeline import REFUSED, Timeline

CAPTION = (
    "Above: accuracy with its 95% intervals. Below: how much evidence of a change each detector holds, as a multiple "
    "of the threshold at which it raises an alarm (logarithmic)."
)
LINES = " Vertical lines are releases."
NUMBERS = " Numbers are explained below."


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a key to the figure."""

    text: str
    colour: str
    shape: str
    line: str = "solid"
    band: bool = False


@dataclass(frozen=True, slots=True)
class MarkLine:
    """One numbered mark as a line of text."""

    at: datetime
    name: str
    style: str
    text: str


@dataclass(frozen=True, slots=True)
class ChartPart:
    """What the template needs to show a timeline. `wide` and `narrow` are our own SVG, its titles escaped."""

    wide: str
    narrow: str
    accuracy_key: tuple[Key, ...]
    evidence_key: tuple[Key, ...]
    marks: tuple[MarkLine, ...]

    @property
    def caption(self) -> str:
        """What is drawn, and no word of what is not."""
        lines = LINES if any(mark.style in RELEASES for mark in self.marks) else ""
        return CAPTION + lines + (NUMBERS if self.marks else "")


def chart_part(timeline: Timeline) -> ChartPart:
    """Both figures, their keys and marks; no figures for an empty timeline."""
    return ChartPart(
        wide=timeline_figure(timeline, name="wide"),
        narrow=timeline_figure(timeline, narrow=True, name="narrow"),
        accuracy_key=_accuracy_key(timeline),
        evidence_key=tuple(
            Key(series.detector.replace("_", " "), *SERIES[i % len(SERIES)])
            for i, series in enumerate(timeline.evidence)
        ),
        marks=tuple(
            MarkLine(m.at, mark_name(m.kind), m.kind if m.kind in MARKS else "other", m.text) for m in timeline.marks
        ),
    )


def _accuracy_key(timeline: Timeline) -> tuple[Key, ...]:
    kinds = {point.kind for point in timeline.estimates}
    keys = [Key(TRUTH, "ink", "", "dashed")] if timeline.truth else []
    for kind, (colour, shape) in ESTIMATES.items():
        if kind in kinds:
            free = kind == "label-free"
            keys.append(Key(estimate_name(kind), colour, shape, "solid" if free else "bar", band=free))
    if REFUSED in kinds:
        keys.append(Key("estimate refused", "muted", "x", "none"))
    return tuple(keys)
