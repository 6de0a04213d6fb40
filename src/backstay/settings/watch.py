"""[budget], [watch] and [labels]: what is watched, at what cost, and whose word counts."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Annotated, Literal

from pydantic import Field

from backstay.settings.section import Section

# The shelf's own (`backstay.monitor.detectors`): a misspelt name is told when the project file is read.
BUILT_IN = (
    "columns",
    "confident_errors",
    "embedding",
    "engagement",
    "exchangeability",
    "geometry",
    "group_answers",
    "groups",
    "label_quality",
    "labelled_error",
    "novelty",
    "prediction",
    "schema",
    "service",
    "slices",
)
PLUG_INS = "backstay.detectors"


def known_detectors() -> tuple[str, ...]:
    """Names of all detectors: the shelf's own, and those of installed packages."""
    return (*BUILT_IN, *(point.name for point in entry_points(group=PLUG_INS)))


class BudgetSettings(Section):
    """What the team accepts: false alarms a year over all detectors, and labels a month."""

    false_alarms_per_year: float = Field(1.0, gt=0, le=100)
    """Expected false alarms a year that the team accepts, over all detectors."""
    labels_per_month: int = Field(50, ge=0)
    """Labels that the team gives each month for the standing sample."""
    window_labels_per_month: int = Field(50, ge=0)
    """Labels that may be asked for besides in any month by doubt, `backstay label --request N --purpose window`."""
    weights: dict[str, Annotated[float, Field(gt=0)]] = Field({})
    """A detector's part of the false alarms relative to the others, by name."""


class WatchSettings(Section):
    """How traffic is cut into windows and when an estimate is believed."""

    windows: Literal["time", "count", "session"] = "time"
    """What ends a window: the "time" (`window_days`), the "count" of its rows (`window_rows`), or a pause in the
    traffic (a "session": `session_gap_hours` without a row), as suits models that answer in batches."""
    window_days: float = Field(7.0, gt=0, le=400)
    """Length of a window that time ends."""
    window_rows: int = Field(1000, ge=20)
    """Rows of a window that their count ends."""
    session_gap_hours: float = Field(6.0, gt=0, le=24 * 31)
    """The pause that ends a session."""
    grace_hours: float = Field(0.0, ge=0, le=24 * 31)
    """How long a window stays open after its end, for rows that come late or out of order; later ones are counted as
    late and judged no more."""
    minimum_rows: int = Field(100, ge=20)
    """A window with fewer rows is joined to the next."""
    detectors: tuple[str, ...] = ("embedding", "prediction", "columns", "labelled_error", "confident_errors")
    """Which ones watch, one or more; see docs/detectors.md."""
    planned_share: float | None = Field(None, gt=0, lt=1)
    """Share of the rows that the live release is meant to answer while another one answers as well (a trial of two);
    "engagement" says when they are not dealt so. Not checked when absent."""
    season: Literal["none", "day", "week", "year"] = "none"
    """What repeats and is no news: rows are compared with reference rows of the same hours, or days of the year."""
    tolerance: float = Field(0.02, ge=0, lt=0.5)
    """How much accuracy may fall below the reference before it counts as worse."""
    label_free_minimum: int = Field(500, ge=50)
    """Labelled reference rows below which accuracy is not estimated without labels."""
    maximum_label_age_days: float = Field(90.0, gt=0)
    """Without a label newer than this, accuracy is no longer estimated from inputs alone."""
    quiet_windows: int = Field(2, ge=1)
    """Windows without a signal that end an alarm episode."""


class LabelSettings(Section):
    """Whose labels are believed, and what they may be used for."""

    trusted_sources: tuple[str, ...] = ("review",)
    """Sources that are believed. Keys that post feedback are `key:NAME`."""
    census_sources: tuple[str, ...] = ()
    """Trusted sources that label every row, late or soon: a third of their labels are the standing sample."""
    maturity_days: float = Field(0.0, ge=0, le=730)
    """How long labels may take to come: those of a window count once it has been over for so long, all together."""
    train_share: float = Field(0.5, gt=0, lt=1)
    """Share of the trusted labels that is learned from; the rest goes to the gate."""
    source_cap: float = Field(0.1, ge=0, le=1)
    """Most that one untrusted source may be of the training rows."""
