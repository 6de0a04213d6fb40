"""Has the model become worse for one group than for the others? Gaps of accuracy by `data.slices`, label after label.

**Sees:** a group for which the model errs more than for the others, beyond what the reference had.
**Compares:** for each value of each slice column, errors of its labelled rows less those of all other rows with a
value, with the largest gap that the reference leaves possible plus the tolerance.
**Statistic:** a Shiryaev-Roberts e-detector on pairs: one row of the group and the mean of the others since the pair
before, as (1 + difference) / 2, against (1 + gap + `watch.tolerance`) / 2. It may be looked at after every label.
**Needs:** Labels and slices. 30 labelled reference rows of a group and 30 beside it, at most 50 groups; labels of the
standing sample. Groups with fewer are not watched, and named in the figures.
**Promises:** on average no more false alarms a year than its share of the budget, split over the slice columns (each
label is a step in each of them), for 95 references of 100. Measured: 0.001 of it on average with 600 reference labels,
0.04 with 5,000 (docs/statistics/errors.md).
**Alarms for nothing:** where labels of one group come later, or are chosen otherwise, than those of others.
**Silent:** long, by nature: a group that is a tenth of the traffic gets a tenth of the labels, and a gap of two errors
has less evidence than one error. With a fifth of 12 labels a week a group whose error went from 10% to 60% was found
after 11 to 24 weeks (docs/limits.md). If all groups become worse together, that is `labelled_error`'s alarm and none
here. It sees gaps of accuracy, not of what is answered (`group_answers` does), and no group that `data.slices` does
not name.
**When it alarms:** it names the group, with the accuracy of its last labels and of the others', each with its exact
95% interval, and shows the group's newest wrong answers. Open these, and ask for labels of that group; every look
names the group that is worst off, alarm or not.
**Settings:** `data.slices`, `watch.tolerance`, `budget.labels_per_month`, `labels.trusted_sources`; `budget.weights`.
Off unless `watch.detectors` names it.
**Source:** Shin, Ramdas & Rinaldo 2023 (e-detectors).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray
from backstay.maths.intervals import clopper_pearson, proportion_effective_n, upper_limit
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.rates import REFERENCE_DELTA
from backstay.monitor.detectors.rationing import (
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
from backstay.monitor.traffic import LabelledRow, WindowData

NAME = "groups"
FEWEST = 30
MOST_GROUPS = 50
# Outcomes of a group that wait for a row of the others: more are of no use, those come soon or never.
MOST_WAITING = 200


@dataclass(frozen=True, slots=True)
class _Group:
    """One value of one slice column, and the largest gap (its error less the others') that the reference allows."""

    column: str
    value: str
    gap: float

    @property
    def name(self) -> str:
        return f"{self.column}={self.value}"

    def m0(self, tolerance: float) -> float:
        """The null for (1 + gap) / 2, which lies between 0 and 1."""
        return min((1.0 + self.gap + tolerance) / 2.0, 0.999)


@dataclass(frozen=True, slots=True)
class _Stream:
    """What is remembered of one group.

    Args:
        waiting: errors of the group's rows that have no partner yet; `others`: sum and number of the others' errors.
        recent, recent_others: right (1) or wrong (0), of the last 100 labels.
    """

    detector: Json | None = None
    waiting: tuple[float, ...] = ()
    others: tuple[float, float] = (0.0, 0.0)
    recent: tuple[float, ...] = ()
    recent_others: tuple[float, ...] = ()
    since: list[float] | None = None

    def paired(self, rows: Sequence[tuple[bool, float]]) -> tuple[_Stream, list[float]]:
        """The stream after rows (in the group, error), and the new pairs as (1 + difference) / 2."""
        waiting, (total, count), pairs = list(self.waiting), self.others, []
        for inside, error in rows:
            if inside:
                waiting.append(error)
            else:
                total, count = total + error, count + 1.0
            if waiting and count:
                pairs.append((1.0 + waiting.pop(0) - total / count) / 2.0)
                total, count = 0.0, 0.0
        recent = [*self.recent, *(1.0 - error for inside, error in rows if inside)][-REMEMBERED:]
        others = [*self.recent_others, *(1.0 - error for inside, error in rows if not inside)][-REMEMBERED:]
        kept = tuple(waiting[-MOST_WAITING:])
        return _Stream(self.detector, kept, (total, count), tuple(recent), tuple(others), self.since), pairs

    @property
    def gap(self) -> float:
        """Accuracy of the others less that of the group, of the last labels; 0 where either is not known."""
        if not self.recent or not self.recent_others:
            return 0.0
        return float(np.mean(self.recent_others) - np.mean(self.recent))

    @property
    def apart(self) -> bool:
        """Whether the exact 95% interval of the group's last labels lies below that of the others'."""
        group, others = (clopper_pearson(sum(right), len(right)) for right in (self.recent, self.recent_others))
        return group.high < others.low

    def words(self, name: str) -> str:
        return f"{name}: {_accuracy(self.recent)}; all others: {_accuracy(self.recent_others)}"

    def to_json(self) -> Json:
        return {
            "detector": self.detector,
            "waiting": list(self.waiting),
            "others": list(self.others),
            "recent": list(self.recent),
            "recent_others": list(self.recent_others),
            "since": self.since,
        }

    @staticmethod
    def from_json(state: Mapping[str, Any] | None) -> _Stream:
        if state is None:
            return _Stream()
        total, count = state["others"]
        return _Stream(
            state["detector"],
            tuple(map(float, state["waiting"])),
            (float(total), float(count)),
            tuple(map(float, state["recent"])),
            tuple(map(float, state["recent_others"])),
            state["since"],
        )


@dataclass(frozen=True, slots=True)
class GroupsDetector:
    """The groups that are watched, and those with too few labelled reference rows."""

    groups: tuple[_Group, ...]
    unwatched: tuple[str, ...]

    @classmethod
    def fit(cls, reference: Reference) -> GroupsDetector | None:
        """None without slices. Raises BackstayError where no group has enough labelled reference rows."""
        if not reference.slices:
            return None
        known = reference.unlearned().take(reference.unlearned().labelled)
        watched: list[tuple[str, str, AnyArray]] = []
        unwatched: list[str] = []
        for column, values in known.slices.items():
            present = np.asarray([value is not None for value in values], dtype=np.bool_)
            for value in sorted({str(v) for v in reference.slices[column] if v is not None}):
                inside = present & np.asarray([str(v) == value for v in values], dtype=np.bool_)
                others = present & ~inside
                if min(int(inside.sum()), int(others.sum())) < FEWEST:
                    unwatched.append(f"{column}={value}")
                else:
                    watched.append((column, value, np.where(inside, 1, np.where(others, 0, -1))))
        if not watched:
            raise BackstayError(
                f"no group of {', '.join(known.slices)} has {FEWEST} labelled reference rows and {FEWEST} beside it",
                fix="give a reference with more labelled rows that the model was not trained on, or coarser slices",
            )
        if len(watched) > MOST_GROUPS:
            raise BackstayError(
                f"{len(watched)} groups in data.slices: too many to say anything of each",
                fix=f"slice by columns with at most {MOST_GROUPS} values in all",
            )
        delta = REFERENCE_DELTA / len(watched) / 2.0
        found = [
            _Group(column, value, _bound(known, side == 1, delta) - _least(known, side == 0, delta))
            for column, value, side in watched
        ]
        return cls(tuple(found), tuple(unwatched))

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Bet on the labels that have come in since the last look, for every group, in order of arrival."""
        rows = sorted((row for row in window.labels if row.representative and row.slices), key=arrival)
        columns = len({group.column for group in self.groups})
        limit = threshold(look, columns)
        kept: dict[str, _Stream] = {}
        strongest, steps = 0.0, 0
        for group in self.groups:
            stream = _Stream.from_json(state.get(group.name))
            stream, evidence, taken = _bet(group, stream, rows, look, limit)
            kept[group.name], steps = stream, steps + taken
            strongest = max(strongest, evidence)
        fresh: Json = {name: stream.to_json() for name, stream in kept.items()}
        seen = {name: stream for name, stream in kept.items() if stream.recent and stream.recent_others}
        if not seen:
            return not_judged(NAME, window, "no labels of a standing sample of two groups yet"), fresh
        worst = max(seen, key=lambda name: seen[name].gap)
        alarms = sorted((name for name in seen if kept[name].since is not None), key=lambda name: -seen[name].gap)
        allowance = {group.name: group.gap + look.tolerance for group in self.groups}
        what = "the model is worse for a group than it may be" if alarms else _quiet(seen, allowance)
        signal = Signal(
            detector=NAME,
            evidence=strongest,
            alarm=bool(alarms),
            alpha=steps / limit,
            n=len(rows),
            message=f"{what}; worst off is {seen[worst].words(worst)} ({strength(strongest)})",
            moved=tuple(seen[name].words(name) for name in alarms),
            example_ids=_wrong(alarms[0], rows) if alarms else (),
            figures={
                "judged": True,
                "worst": worst,
                "gap": {name: stream.gap for name, stream in seen.items()},
                "gap_allowed": allowance,
                "threshold": limit,
                "unwatched": list(self.unwatched),
            },
        )
        return signal, fresh

    def to_json(self) -> Json:
        groups = [{"column": g.column, "value": g.value, "gap": g.gap} for g in self.groups]
        return {"groups": groups, "unwatched": list(self.unwatched)}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> GroupsDetector:
        groups = tuple(_Group(str(g["column"]), str(g["value"]), float(g["gap"])) for g in state["groups"])
        return cls(groups, tuple(map(str, state["unwatched"])))


def _bet(
    group: _Group, stream: _Stream, rows: Sequence[LabelledRow], look: Look, limit: float
) -> tuple[_Stream, float, int]:
    """The stream after these rows, its evidence (1 or more while an alarm stands), and the steps that were taken."""
    mine = [
        (row.slices[group.column] == group.value, 0.0 if row.correct else 1.0)
        for row in rows
        if group.column in row.slices
    ]
    stream, pairs = stream.paired(mine)
    m0 = group.m0(look.tolerance)
    detector = restored(stream.detector, m0, limit)
    outcomes = np.asarray(pairs, dtype=np.float64)
    # A group's part of the steps of its column is its part of the labels.
    inside = sum(1 for own, _ in mine if own)
    share = max(int(allowed(look, 0) * inside / max(len(mine), 1)), 1)
    steps = block_means(outcomes, max(share - detector.steps, 1))
    detector, alarms = detector.update(steps)
    since = standing(stream.since, bool(alarms), outcomes, m0)
    evidence = max(detector.evidence, 1.0) if since is not None else min(detector.evidence, 0.999)
    after = _Stream(detector.to_json(), stream.waiting, stream.others, stream.recent, stream.recent_others, since)
    return after, evidence, len(steps)


def _bound(known: Reference, rows: AnyArray, delta: float) -> float:
    """Upper confidence limit of these rows' error."""
    errors, n = _errors(known, rows)
    return upper_limit(errors, n, delta)


def _least(known: Reference, rows: AnyArray, delta: float) -> float:
    """Lower confidence limit of these rows' error."""
    errors, n = _errors(known, rows)
    return 1.0 - upper_limit(n - errors, n, delta)


def _errors(known: Reference, rows: AnyArray) -> tuple[float, float]:
    chosen = known.take(np.flatnonzero(rows))
    correct = np.asarray(chosen.correct, dtype=np.float64)
    n = proportion_effective_n(correct, chosen.codes)
    return (1.0 - float(correct.mean())) * n, n


def _quiet(seen: Mapping[str, _Stream], allowance: Mapping[str, float]) -> str:
    """What may be said without an alarm: never that no group fell behind where its last labels look as if it did."""
    apart = [name for name, stream in seen.items() if stream.apart]
    if any(seen[name].gap > allowance[name] for name in apart):
        return "no proof yet that a group fell behind the others"
    if apart:
        return "no group fell further behind the others than the reference leaves possible"
    return "no group fell behind the others"


def _accuracy(right: Sequence[float]) -> str:
    low, high = clopper_pearson(sum(right), len(right))
    return f"{sum(right):.0f} of the last {len(right)} right (accuracy between {low:.1%} and {high:.1%})"


def _wrong(name: str, rows: Sequence[LabelledRow]) -> tuple[str, ...]:
    """The newest wrong answers of the group."""
    column, _, value = name.partition("=")
    wrong = [row.label.prediction_id for row in rows if not row.correct and row.slices.get(column) == value]
    return tuple(wrong[-EXAMPLES:])
