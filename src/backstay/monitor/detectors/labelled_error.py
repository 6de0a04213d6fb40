"""Is the model wrong more often than it may be? An e-detector on labels of the standing sample.

**Sees:** a model that is wrong more often than the reference leaves possible, whatever the cause.
**Compares:** the errors among labels, in order of arrival, with what is accepted: the upper 95% limit of the reference
error, plus `watch.tolerance`; so the luck of the reference raises no alarm.
**Statistic:** Shiryaev-Roberts, the mean of eight bets (of different boldness) against what is accepted, m0:

    R_t = (R_(t-1) + 1) (1 + lambda (x_t - m0)),   x_t = 1 where the model was wrong;   alarm where the mean of R is A

It may be looked at after every label. When more labels than planned come, consecutive labels are bet on as block
means, which also is what a stream with good and bad days needs (docs/statistics/errors.md). Of a regression or of sets
of labels an answer is wrong where the reference says so too: beyond the limit, or another set.
**Needs:** Labels. Labelled reference rows that the model was not trained on, and labels of the standing sample: rows
drawn with a known probability, or a census of all rows. Others are counted and left out.
**Promises:** for 95 references of 100 at most one false alarm in A steps, on average, while the error is accepted;
steps, not labels, are rationed, and A is the steps of the first year (`budget.labels_per_month`, and one month in
advance) over its share of false alarms. Measured for the reference that you keep: 0.15 to 0.40 of that on average,
0.59 to 0.73 at the 95th reference (docs/statistics/drift.md). A quarter of its share pays for "worse" by the interval
of the labels, which sees a large fall sooner than the bets do. It and `confident_errors` divide a double weight between
them.
**Alarms for nothing:** where rows within a request were drawn with unequal chances, labels come late in a way that has
to do with their being right, or whoever labels slips more often than before.
**Silent:** without labels, and long with few: at an accepted error of 10% and A = 1,000 it takes 80 labels in the
middle to see 20%, and 390 to see 12% (docs/statistics/errors.md). A fall within the tolerance is none. Where the sure
answers are those that go wrong, `confident_errors` sees it with fewer labels.
**When it alarms:** the model is worse, or the labels are. Look at the mistakes that it counts by answer and label and
at the rows it shows; then `backstay watch --explain` says whether retraining pays.
**Settings:** `watch.tolerance`, `budget.labels_per_month`, `labels.trusted_sources`, `labels.census_sources`,
`labels.maturity_days`; `budget.weights`.
**Source:** Shin, Ramdas & Rinaldo 2023 (e-detectors); Shiryaev 1963, Roberts 1966.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Json, Signal
from backstay.maths.betting import null_error
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.rates import REFERENCE_DELTA
from backstay.monitor.detectors.rationing import (
    RECOVERED_AFTER,
    REMEMBERED,
    allowed,
    arrival,
    block_means,
    restored,
    standing,
    threshold,
)
from backstay.monitor.detectors.verdict import EXAMPLES, not_judged, strength
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

NAME = "labelled_error"


@dataclass(frozen=True, slots=True)
class LabelledErrorDetector:
    """Errors among the labelled reference rows, both in effective (independent) rows."""

    errors: float
    n: float

    @classmethod
    def fit(cls, reference: Reference) -> LabelledErrorDetector:
        """Raises BackstayError when it is not known of any reference row whether the model was right."""
        known = reference.accuracy()
        if known is None:
            raise BackstayError(
                "of no reference row is it known whether the model was right",
                fix="give reference rows with labels that the model was not trained on",
            )
        return cls((1.0 - known.value) * known.n_effective, known.n_effective)

    def null(self, tolerance: float) -> float:
        """The error rate that is still accepted."""
        return null_error(self.errors, self.n, REFERENCE_DELTA, tolerance)

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Bet on the labels that have come in since the last look, in order of arrival."""
        m0, limit = self.null(look.tolerance), threshold(look)
        rows = sorted((r for r in window.labels if r.representative), key=arrival)
        unusable = len(window.labels) - len(rows)
        detector = restored(state.get("detector"), m0, limit)
        outcomes = np.asarray([0.0 if row.correct else 1.0 for row in rows])
        steps = block_means(outcomes, allowed(look, detector.steps))
        detector, alarms = detector.update(steps)
        told = ([row.predicted, row.label.value, row.correct] for row in rows)
        recent = [*map(_told, state.get("recent", [])), *told][-REMEMBERED:]
        since = standing(state.get("standing"), bool(alarms), outcomes, m0)
        fresh: Json = {"detector": detector.to_json(), "recent": recent, "standing": since}
        if not rows and since is None and not recent:
            why = "no labels of a standing sample yet" if not unusable else _unusable(unusable)
            return not_judged(NAME, window, why), fresh
        alarm = since is not None
        evidence = max(detector.evidence, 1.0) if alarm else min(detector.evidence, 0.999)
        signal = Signal(
            detector=NAME,
            evidence=evidence,
            alarm=alarm,
            alpha=len(steps) / limit,
            n=len(rows),
            message=_message(recent, m0, evidence, alarm, unusable),
            moved=_confusions(recent) if alarm else (),
            example_ids=tuple(row.label.prediction_id for row in rows if not row.correct)[-EXAMPLES:] if alarm else (),
            figures={
                "judged": True,
                "accepted_error": m0,
                "threshold": limit,
                "labels_seen": detector.rows,
                "steps": detector.steps,
                "unusable_labels": unusable,
            },
        )
        return signal, fresh

    def to_json(self) -> Json:
        return {"errors": self.errors, "n": self.n}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> LabelledErrorDetector:
        return cls(float(state["errors"]), float(state["n"]))


def _told(seen: Sequence[Any]) -> list[Any]:
    """What was answered, what was right, and whether the answer counts as right: older states held the first two."""
    predicted, value, *right = seen
    return [predicted, value, bool(right[0]) if right else predicted == value]


def _message(recent: Sequence[Sequence[Any]], m0: float, evidence: float, alarm: bool, unusable: int) -> str:
    wrong = sum(not right for _, _, right in recent)
    said = f"of the last {len(recent)} labels {wrong} say that the model was wrong, up to {m0:.1%} is accepted"
    what = "errors are within what is accepted"
    if alarm:
        what = "the model is wrong more often than it may be"
    elif wrong > m0 * len(recent):
        what = "errors are not yet shown to be more than is accepted"
    told = f"; {_unusable(unusable)}" if unusable else ""
    if alarm:
        # The bets begin anew at the alarm: their size says no more how sure it is.
        return f"{what}: {said} (the alarm stands until {RECOVERED_AFTER} labels after it are within that){told}"
    return f"{what}: {said} ({strength(evidence)}){told}"


def _unusable(count: int) -> str:
    return (
        f"{count} labels do not speak for all traffic (untrusted, drawn by doubt, kept for training or the gate, or "
        "nobody knows how their rows were chosen)"
    )


def _confusions(recent: Sequence[Sequence[Any]]) -> tuple[str, ...]:
    wrong = Counter((predicted, value) for predicted, value, right in recent if not right)
    return tuple(
        f"model says {predicted!r}, label says {value!r}: {count} of {len(recent)}"
        for (predicted, value), count in sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:5]
    )
