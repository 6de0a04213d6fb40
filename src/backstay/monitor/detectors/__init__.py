"""The shelf of detectors: what can raise an alarm. One detector a file; built-ins and plug-ins enter by one door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from backstay.kernel.records import Json, Signal
from backstay.kernel.registry import Shelf
from backstay.monitor.measures import Measures
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

DETECTORS = Shelf(
    "detector",
    "backstay.detectors",
    {
        "columns": "backstay.monitor.detectors.columns:ColumnsDetector",
        "confident_errors": "backstay.monitor.detectors.confident_errors:ConfidentErrorsDetector",
        "embedding": "backstay.monitor.detectors.embedding:EmbeddingDetector",
        "engagement": "backstay.monitor.detectors.engagement:EngagementDetector",
        "exchangeability": "backstay.monitor.detectors.exchangeability:ExchangeabilityDetector",
        "geometry": "backstay.monitor.detectors.geometry:GeometryDetector",
        "group_answers": "backstay.monitor.detectors.group_answers:GroupAnswersDetector",
        "groups": "backstay.monitor.detectors.groups:GroupsDetector",
        "label_quality": "backstay.monitor.detectors.label_quality:LabelQualityDetector",
        "labelled_error": "backstay.monitor.detectors.labelled_error:LabelledErrorDetector",
        "novelty": "backstay.monitor.detectors.novelty:NoveltyDetector",
        "prediction": "backstay.monitor.detectors.prediction:PredictionDetector",
        "service": "backstay.monitor.detectors.service:ServiceDetector",
        "schema": "backstay.monitor.detectors.schema:SchemaDetector",
        "slices": "backstay.monitor.detectors.slices:SlicesDetector",
    },
)

# Those that say whether the model is wrong, by labels of the standing sample; the others say what moved.
LABELLED, CONFIDENT = "labelled_error", "confident_errors"
OF_LABELS = (LABELLED, CONFIDENT)


@dataclass(frozen=True, slots=True)
class Look:
    """What a detector may spend on this window, and what it should know of the stream.

    Args:
        alpha: false-alarm rate for a test that looks once at this window.
        per_year: the detector's share of the budget, in false alarms a year, for one that looks at every label.
        years: since the release, up to the end of this window.
        labels_per_year: standing labels that the team plans to give.
        tolerance: how much worse than the reference the error may be before anybody minds.
        source: number of independent sources that the stream draws from again and again; infinite if none recurs.
        season: "none", "day", "week" or "year": what repeats, and is no news.
    """

    alpha: float
    per_year: float
    years: float
    labels_per_year: float
    tolerance: float
    source: float = float("inf")
    season: str = "none"


class Detector(Protocol):
    """A detector fitted to one reference, itself without memory: its state goes in and comes out as JSON.

    `fit` answers None where it does not apply (no table, no columns) and raises BackstayError where it ought to watch
    and has too little to go by; the fix is told to the user.
    """

    @classmethod
    def fit(cls, reference: Reference) -> Detector | None: ...

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]: ...

    def to_json(self) -> Json: ...

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Detector: ...


@runtime_checkable
class Measuring(Protocol):
    """A detector that can judge a window by sketches of its rows, so that these need not be in memory together.

    `look` then reads `window.whole.measures` where the window has it. A detector that cannot measure is given the
    window's sample of rows.
    """

    def measure(self, window: WindowData, before: Measures | None = None) -> Measures:
        """The sketches of these rows and of those before. Raises BackstayError where the rows lack what is read."""
