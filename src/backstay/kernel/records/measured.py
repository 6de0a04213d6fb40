"""What was measured of a model, and what the gate made of it. No number without its interval, its n and its data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime

from backstay.kernel.records.json_value import Json
from backstay.kernel.records.rows import Finding


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
