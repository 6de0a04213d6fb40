"""Is the model wrong where it was sure? Few labels that show a changed meaning, mistakes weighed by sureness.

**Sees:** labels that have come to mean something else, while inputs and scores look as ever.
**Compares:** mistakes among the labels of this look, and earlier ones up to 50, with how often the model was wrong on
reference rows with as high a top score.
**Statistic:** the exact chance, given how sure the model was of these rows, of mistakes that weigh as much. At chance
q of being wrong (by the reference, in up to eight cells of the top score) a mistake weighs

    log(1 + e (h - 1)) of a wrong answer less that of a right one,  e = 0.1,
    h = (1 - q / (k - 1)) / q where wrong,  q / ((k - 1) (1 - q)) where right,  for k classes

which is the likelihood ratio of "one label in ten has become another one". A change of the *mix* of inputs moves
nothing: what is expected of a label is what the reference was wrong by at that sureness, not on the whole. An alarm
takes two things: a chance below the level, and more mistakes than slips of whoever labels would bring if they were
worth `watch.tolerance` in accuracy; so it is no matter of the number of labels alone.
**Needs:** Labels and scores. 200 labelled reference rows with scores of classes and 10 labels of the standing sample;
absent for numbers and sets of labels. Of labelled rows of one group (a customer, a document) one alone counts.
**Promises:** at each look with new labels its level for 95 references of 100: it allows for the luck of the reference
(upper limit at 95%) and for good and bad days, by how much labels differed from day to day so far. Measured, by kind
of scores and mix: 0.14 to 0.36 of the level on average, 0.46 to 1.02 at the 95th reference (docs/statistics/drift.md).
It and `labelled_error` divide a double weight between them, so that the others keep theirs.
**Alarms for nothing:** where inputs become harder at the same score: then accuracy has fallen, and no meaning changed.
Where labels were not drawn by chance, or whoever labels makes more slips than `watch.tolerance`.
**Silent:** where mistakes become more where the model was unsure anyway, which `labelled_error` sees; and without
labels. With one label in ten turned and 5,000 reference rows the alarm comes after 132 labels in the middle, with one
in five after 48; with 1,000 reference rows and one in ten after 216 (docs/statistics/errors.md).
**When it alarms:** open the confident mistakes that it shows and look whether the model or the label is right: that
tells a changed meaning from careless labels. It means *worse* where the labels' accuracy has also fallen by more than
the tolerance, and *please label* otherwise, as does a chance of at most 2.5%. *Sure* are, in the sentence, answers of
which fewer than one in ten is wrong by the reference.
**Settings:** `watch.tolerance`, `budget.labels_per_month` (what is asked for), `labels.trusted_sources`,
`labels.census_sources`, `data.group`; `budget.weights`.
**Source:** Rao 1948 (score test); Angluin & Laird 1988 (noise of labels). An e-detector of the same weights needs
twice the labels for the same share of the budget, so there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from backstay.kernel.clock import utc
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Json, Signal
from backstay.maths.surprise import Spread, Surprise, chance_of_as_many
from backstay.monitor.detectors import CONFIDENT, Look
from backstay.monitor.detectors.rates import REFERENCE_DELTA
from backstay.monitor.detectors.rationing import arrival, standing
from backstay.monitor.detectors.verdict import EXAMPLES, not_judged, strength
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import LabelledRow, WindowData

NAME = CONFIDENT
# Labels that are looked at, when those of this look are fewer; with fewer than LEAST nothing is judged.
POOLED, LEAST = 50, 10
# The level at which one look raises a doubt, if no alarm: that of one side of the interval that people read.
DOUBTED = 0.025
NO_DIFFERENCE = 0.5


class _Row(NamedTuple):
    """A label as it is remembered: of which prediction, group and day, at what top score, and whether it was wrong."""

    prediction_id: str
    group: str | None
    top: float
    wrong: bool
    day: str


@dataclass(frozen=True, slots=True, eq=False)
class ConfidentErrorsDetector:
    """How often the model is wrong, by how sure it is, on labelled reference rows."""

    surprise: Surprise

    @classmethod
    def fit(cls, reference: Reference) -> ConfidentErrorsDetector | None:
        """None where answers are no classes. Raises BackstayError without scores, or with too few labelled rows."""
        if not reference.of_classes:
            return None
        if reference.scores is None or reference.correct is None:
            raise BackstayError(
                "how sure the model is of an answer is known of classes with scores only",
                fix="log scores and give labelled reference rows, or leave it out of watch.detectors",
            )
        rows = reference.labelled
        codes = reference.codes
        groups = None if codes is None else codes[rows]
        return cls(Surprise.fit(reference.scores[rows], reference.correct[rows], groups))

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Weigh the mistakes among the labels that have come in since the last look, and some before them."""
        before = [_Row(*row) for row in state.get("recent", [])]
        fresh, unread = _rows(window.labels, before)
        pooled = [*before, *fresh][-max(POOLED, len(fresh)) :]
        labels = _Labels.of(self.surprise, pooled)
        spread = Spread(*state.get("spread", ())).add(*labels.by_day(self.surprise, len(fresh)))
        tested = bool(fresh) and len(pooled) >= LEAST
        chance = spread.spread(self._chance(labels)) if tested else 1.0
        minded = self.surprise.accepted(labels.seen, NO_DIFFERENCE, look.tolerance)
        excess = labels.excess(self.surprise, minded)
        beyond = float(excess.sum()) > 0.0
        alarmed = chance <= look.alpha and beyond
        since = standing(state.get("standing"), alarmed, excess[len(pooled) - len(fresh) :], 0.0)
        kept = [list(row) for row in pooled[-POOLED:]]
        after: Json = {"recent": kept, "spread": list(spread), "standing": since}
        if len(pooled) < LEAST:
            why = f"{len(pooled)} labels of a standing sample, at least {LEAST} are needed"
            return not_judged(NAME, window, f"{why}; {_unread(unread)}" if unread else why), after
        alarm = since is not None
        weight = max(0.0, float(np.log(chance) / np.log(look.alpha)))  # in this order: a chance of 1 gives -0.0
        evidence = max(weight, 1.0) if alarm else min(weight, 0.999)
        said = labels.sentence(self.surprise)
        doubted = beyond and chance <= DOUBTED
        what = (
            "more than chance alone would give, too little for an alarm" if doubted else "the model errs where it may"
        )
        what = "labels say that what is right has changed" if alarm else what
        signal = Signal(
            detector=NAME,
            evidence=evidence,
            alarm=alarm,
            alpha=look.alpha * tested,
            n=len(fresh),
            message=f"{what}: {said} ({strength(evidence)}){f'; {_unread(unread)}' if unread else ''}",
            moved=(said,) if alarm else (),
            example_ids=labels.sure_mistakes(self.surprise)[:EXAMPLES] if alarm else (),
            figures={
                "judged": True,
                "p_value": chance,
                "beyond_tolerance": beyond,
                "labels": len(pooled),
                "day_effect": spread.factor,
                "unusable_labels": unread,
                **labels.figures(self.surprise),
            },
        )
        return signal, after

    def _chance(self, labels: _Labels) -> float:
        """Of mistakes that weigh as much, were they as independent and as frequent as the reference allows."""
        usual = self.surprise.accepted(labels.seen, REFERENCE_DELTA)
        return chance_of_as_many(labels.seen, labels.wrong, usual, self.surprise.weights)

    def to_json(self) -> Json:
        return self.surprise.to_json()

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> ConfidentErrorsDetector:
        return cls(Surprise.from_json(state))


@dataclass(frozen=True, slots=True, eq=False)
class _Labels:
    """Labels [n], their cell of sureness and whether the model was wrong; and the counts of both in each cell [m]."""

    rows: tuple[_Row, ...]
    cells: Any
    mistaken: Any
    seen: Any
    wrong: Any

    @staticmethod
    def of(surprise: Surprise, rows: list[_Row]) -> _Labels:
        cells = surprise.cells(np.asarray([row.top for row in rows])) if rows else np.empty(0, dtype=np.int64)
        mistaken = np.asarray([row.wrong for row in rows], dtype=np.bool_)
        parts = len(surprise.rows)
        seen = np.bincount(cells, minlength=parts)
        return _Labels(tuple(rows), cells, mistaken, seen, np.bincount(cells[mistaken], minlength=parts))

    def by_day(self, surprise: Surprise, fresh: int) -> tuple[Any, Any]:
        """Day and weighed mistake of the newest labels [fresh], less what was to be expected of each."""
        chosen = slice(len(self.rows) - fresh, None)
        return np.asarray([row.day for row in self.rows[chosen]]), self.excess(surprise, surprise.usual)[chosen]

    def excess(self, surprise: Surprise, expected: Any) -> Any:
        """What each label weighs [n] beyond what is expected of its cell [m]."""
        return surprise.weights[self.cells] * (self.mistaken - expected[self.cells])

    def sentence(self, surprise: Surprise) -> str:
        told = self.figures(surprise)
        return (
            f"mistakes where the model was sure: {told['sure_wrong']} of the last {told['sure_labels']}, "
            f"{told['sure_expected']:.1f} expected"
        )

    def figures(self, surprise: Surprise) -> Json:
        sure = surprise.sure
        return {
            "sure_wrong": int(self.wrong[sure].sum()),
            "sure_labels": int(self.seen[sure].sum()),
            "sure_expected": float((self.seen * surprise.usual)[sure].sum()),
        }

    def sure_mistakes(self, surprise: Surprise) -> tuple[str, ...]:
        """Ids of mistakes, where the model was surest first."""
        found = [(row, int(cell)) for row, cell in zip(self.rows, self.cells, strict=True) if row.wrong]
        found = [(row, cell) for row, cell in found if surprise.weights[cell] > 0.0]
        return tuple(row.prediction_id for row, cell in sorted(found, key=lambda one: (-one[1], -one[0].top)))


def _rows(labels: tuple[LabelledRow, ...], before: list[_Row]) -> tuple[list[_Row], int]:
    """The usable ones, one a group, in order of arrival; and how many were not to be used."""
    chosen: list[_Row] = []
    groups = {row.group for row in before if row.group is not None}
    usable = [row for row in labels if row.representative and row.scores and np.all(np.isfinite(row.scores))]
    for row in sorted(usable, key=arrival):
        if row.label.group is not None and row.label.group in groups:
            continue
        if row.label.group is not None:
            groups.add(row.label.group)
        top, day = float(max(row.scores or ())), f"{utc(row.predicted_at):%Y-%m-%d}"
        chosen.append(_Row(row.label.prediction_id, row.label.group, top, not row.correct, day))
    return chosen, len(labels) - len(usable)


def _unread(count: int) -> str:
    return f"{count} labels do not speak for all traffic, or are of rows without scores"
