"""What people are asked, and what they answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class LabelUse(StrEnum):
    """What one label may be used for: exactly one of these, by a hash of its row's id or group."""

    TRAIN = "train"
    GATE = "gate"
    STANDING = "standing"


@dataclass(frozen=True, slots=True)
class Label:
    """A true value for a logged prediction, and where it came from.

    Args:
        probability: with which the row was chosen for labelling, None when nobody chose it (selective labels).
        draw: the window by whose strata the row was drawn, None for a uniform draw or none; `stratum` is its place.
    """

    prediction_id: str
    value: str
    source: str
    trusted: bool
    adjudicated: bool
    use: LabelUse
    at: datetime
    model: str
    environment: str
    group: str | None = None
    probability: float | None = None
    request_id: str | None = None
    draw: str | None = None
    stratum: int | None = None


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """A row that a person is asked to look at, why, and with which probability it was drawn.

    Args:
        draw: the window by whose strata it was drawn, None for a uniform draw; `stratum`: 0 the most doubtful.
    """

    id: str
    prediction_id: str
    model: str
    environment: str
    purpose: str
    probability: float
    requested_at: datetime
    status: str = "open"
    group: str | None = None
    draw: str | None = None
    stratum: int | None = None
