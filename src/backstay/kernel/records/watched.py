"""What was seen of a window of traffic, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from backstay.kernel.records.json_value import Json
from backstay.kernel.records.located import Located
from backstay.kernel.records.measured import Interval


@dataclass(frozen=True, slots=True)
class Signal:
    """What one detector said of one window.

    Args:
        evidence: the statistic as a multiple of its threshold: an alarm is evidence >= 1.
        alpha: the false-alarm rate that this look at the data spends (per window, or per step for an e-detector).
        moved: what moved, in words, strongest first.
        example_ids: prediction ids of rows that show the change.
    """

    detector: str
    evidence: float
    alarm: bool
    alpha: float
    n: int
    message: str
    moved: tuple[str, ...] = ()
    example_ids: tuple[str, ...] = ()
    figures: Json = field(default_factory=dict)


class Condition(StrEnum):
    """How the model is, in one word."""

    FINE = "probably fine"
    MOVED = "moved"
    WORSE = "worse"
    UNKNOWN = "please label"


@dataclass(frozen=True, slots=True)
class Estimate:
    """Accuracy as far as it can be known for a window.

    Args:
        kind: "label-free" (assumes that P(label | input) is unchanged), "ppi" (with labels) or "labels".
        value: None when refused; then `refusals` says why and `labels_needed` how many labels would replace it.
    """

    kind: str
    metric: str
    value: float | None
    interval: Interval | None
    n: int
    assumption: str
    refusals: tuple[str, ...] = ()
    labels: int = 0
    labels_needed: int = 0
    figures: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WindowResult:
    """One window of traffic as watched: signals, estimates, the state of the budget, and what to do.

    `located`: where the change lies among the inputs; None where no detector of inputs alarmed.
    """

    id: str
    model: str
    environment: str
    release_id: str
    start: datetime
    end: datetime
    rows: int
    condition: Condition
    signals: tuple[Signal, ...]
    estimates: tuple[Estimate, ...]
    headline: str
    advice: tuple[str, ...]
    label_age_days: float | None
    budget_spent: float
    budget: float
    created_at: datetime
    new_alarms: tuple[str, ...] = ()
    labels_requested: int = 0
    figures: Json = field(default_factory=dict)
    located: Located | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to retrain now: every term of the sum, so that the arithmetic can be printed."""

    retrain: bool
    headline: str
    terms: Json = field(default_factory=dict)
