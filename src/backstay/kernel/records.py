"""The values that cross boundaries. Frozen; every measurement carries its interval, its n and its data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

Json = dict[str, Any]


class Task(StrEnum):
    """What a model answers: a class or a number; `predictions` is a classifier that lives elsewhere."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"
    MULTILABEL = "multilabel"
    PREDICTIONS = "predictions"


class Severity(StrEnum):
    """How much an audit finding matters. An open HIGH finding blocks the gate."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class ColumnKind(StrEnum):
    """How a column is read and hashed."""

    NUMBER = "number"
    INTEGER = "integer"
    CATEGORY = "category"
    TEXT = "text"
    BOOLEAN = "boolean"
    TIME = "time"
    IMAGE = "image"
    VECTOR = "vector"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a schema. `shape`: (height, width, channels) of an image, (length,) of a vector, else empty."""

    name: str
    kind: ColumnKind
    nullable: bool = True
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """Columns in their order, and which of them have a role. `features` are the model's inputs, in order."""

    columns: tuple[Column, ...]
    features: tuple[str, ...]
    target: str | None = None
    id: str | None = None
    time: str | None = None
    group: str | None = None

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)


@dataclass(frozen=True, slots=True)
class DataVersion:
    """An immutable set of rows. `id` hashes all content under the schema; `blob` is where the bytes are."""

    id: str
    rows: int
    schema: Schema
    blob: str
    source: str
    created_at: datetime
    parents: tuple[str, ...] = ()
    role: str = "data"
    classes: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """What an audit check saw. `example_rows` are row numbers; `fix` says what to do."""

    check: str
    severity: Severity
    message: str
    fix: str
    data_id: str
    columns: tuple[str, ...] = ()
    example_rows: tuple[int, ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval. `method` names how it was made, for the reader who wants to check."""

    low: float
    high: float
    level: float = 0.95
    method: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number that never travels alone: value, interval, n and the data it was measured on.

    Args:
        metric: the field's name of the figure ("accuracy", "auc", "recall_at_1").
        value: NaN where it could not be computed; a gate refuses NaN.
        slice: "" for all rows, otherwise "column=value".
        of: "model", or the control it belongs to ("control:majority", "control:raw_knn").
    """

    metric: str
    value: float
    interval: Interval | None
    n: int
    data_id: str
    slice: str = ""
    of: str = "model"

    @property
    def finite(self) -> bool:
        return math.isfinite(self.value) and self.interval is not None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same rows: challenger minus baseline, so positive means better.

    Args:
        against: the baseline's model id, or "control:NAME".
        one_sided_low: lower bound of the difference at one-sided `level`: what "no worse by a margin" reads.
        p_better: one-sided p-value of "not better"; small means better.
        p_worse: one-sided p-value of "not worse"; small means worse.
    """

    metric: str
    against: str
    difference: float
    interval: Interval | None
    one_sided_low: float
    p_better: float
    p_worse: float
    n: int
    data_id: str
    slice: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything measured of one model on one version of data."""

    id: str
    model_id: str
    data_id: str
    created_at: datetime
    measurements: tuple[Measurement, ...]
    comparisons: tuple[Comparison, ...] = ()
    champion: str | None = None
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    def find(self, metric: str, slice: str = "", of: str = "model") -> Measurement | None:  # noqa: A002 - the field's word
        for m in self.measurements:
            if (m.metric, m.slice, m.of) == (metric, slice, of):
                return m
        return None


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What one rule of the policy said, in a sentence, with the figures it read."""

    rule: str
    passed: bool
    message: str
    evidence: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's outcome for one candidate, bound to the policy, the data and the champion it was measured against."""

    id: str
    model: str
    environment: str
    candidate: str
    champion: str | None
    report_id: str
    data_id: str
    policy_digest: str
    passed: bool
    outcomes: tuple[RuleOutcome, ...]
    created_at: datetime

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(o.message for o in self.outcomes if not o.passed)


class ReleaseKind(StrEnum):
    """How a release became live."""

    ADOPTED = "adopted"
    PROMOTED = "promoted"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Release:
    """What made a model live. The newest release of a model and environment is its champion."""

    id: str
    sequence: int
    model: str
    environment: str
    model_id: str
    kind: ReleaseKind
    measured: bool
    actor: str
    reason: str
    created_at: datetime
    reference_id: str | None = None
    verdict_id: str | None = None
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model that the project knows. `bundle` is the blob id of its bundle, None for predictions only."""

    id: str
    model: str
    task: Task
    origin: str
    created_at: datetime
    bundle: str | None = None
    data_id: str | None = None
    reference_id: str | None = None
    parent: str | None = None
    classes: tuple[str, ...] = ()
    recipe: Json = field(default_factory=dict)
    figures: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One link of the hash chain: `hash` covers every other field, `prev` is the hash of the row before."""

    seq: int
    at: datetime
    actor: str
    kind: str
    body: Json
    prev: str
    hash: str
    clock: str = "system"


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
    """One window of traffic as watched: signals, estimates, the state of the budget, and what to do."""

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


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to retrain now: every term of the sum, so that the arithmetic can be printed."""

    retrain: bool
    headline: str
    terms: Json = field(default_factory=dict)
