"""Does the model now grant some groups more, or less, than it did? Gaps of answers by `data.slices`, without labels.

**Sees:** groups that are answered otherwise than before, without labels.
**Compares:** for each value of each slice column and each class: the share of the group's rows that get the answer,
less that of all other rows with a value, now and in the reference, in both directions.
**Statistic:** the change of the gap over what would alarm, with q(p) the normal quantile and G the number of gaps:

    |gap now - gap before| / ( q(0.95) * error before + q(1 - level / 2G) * error now + watch.tolerance )

Rows of one group of `data.group` count as one. Gaps of fewer than ten independent rows with or without the answer, on
any side, are not judged. Of two classes, or of two values, one says it all.
**Needs:** Answers and slices. Columns of `data.slices` in the log and in the reference, and two classes or more; at
most 500 gaps. Windows of sketches (a backfill) do not tell groups apart.
**Promises:** at each look its level, split over all gaps, for 95 references of 100, by normal limits and with the
tolerance beyond that. Measured with no tolerance, 1,000 reference rows and windows of 600: 0.28 to 0.32 of the level
on average, 1.1 to 1.2 at the 95th reference (docs/statistics/drift.md).
**Alarms for nothing:** where who belongs to the group changed (another kind of customer under the same name), or the
world did and the new answers are right.
**Silent:** for a gap that the reference had already; for mistakes that leave the shares of answers as they were
(`groups` asks that of labels); for a group of few rows, or none that `data.slices` names.
**When it alarms:** it says that groups are treated otherwise than before, not that they are treated wrongly. Open the
rows that it shows, look at the group's inputs, and ask labels of that group whether the model is right there.
**Settings:** `data.slices`, `data.group`, `watch.tolerance`; `budget.weights`. Off unless `watch.detectors` names it.
**Source:** ours; Wald's limits of a difference of shares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray, BoolArray
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.rates import REFERENCE_DELTA, Share
from backstay.monitor.detectors.verdict import EXAMPLES, not_judged, strength
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

NAME = "group_answers"
FEWEST = 10.0
MOST_GAPS = 500
MOST_TOLD = 8


@dataclass(frozen=True, slots=True)
class _Gap:
    """Shares of one answer in a group and among all others."""

    inside: Share
    others: Share

    @staticmethod
    def of(answered: BoolArray, member: AnyArray, codes: AnyArray | None) -> _Gap:
        """`member` [n] is 1 in the group, 0 among the others, -1 where it is not known."""
        sides = [
            Share.of(answered[member == side], None if codes is None else codes[member == side]) for side in (1, 0)
        ]
        return _Gap(*sides)

    @property
    def judged(self) -> bool:
        return all(min(side.marked, side.n - side.marked) >= FEWEST for side in (self.inside, self.others))

    @property
    def value(self) -> float:
        return self.inside.value - self.others.value

    @property
    def error(self) -> float:
        """Standard error."""
        return float(np.sqrt(sum(side.value * (1.0 - side.value) / side.n for side in (self.inside, self.others))))


@dataclass(frozen=True, slots=True)
class GroupAnswersDetector:
    """The reference's gaps by (column, value, answer)."""

    gaps: Mapping[tuple[str, str, str], _Gap]

    @classmethod
    def fit(cls, reference: Reference) -> GroupAnswersDetector | None:
        """None without slices or with one class. Raises BackstayError where no gap has rows enough, or there are too
        many to say anything of each."""
        if not reference.slices or len(reference.classes) < 2:
            return None
        reference = reference.unlearned()
        # Of two classes the share of one says it all.
        told = reference.classes[1:] if len(reference.classes) == 2 else reference.classes
        found = dict(_gaps(reference.slices, reference.predicted, told, reference.codes))
        kept = {key: gap for key, gap in found.items() if gap.judged}
        if not kept:
            raise BackstayError(
                f"no group of {', '.join(reference.slices)} has {FEWEST:.0f} reference rows with an answer and without",
                fix="give a reference with more rows that the model was not trained on, or coarser slices",
            )
        if len(kept) > MOST_GAPS:
            raise BackstayError(
                f"{len(kept)} gaps between groups: too many to say anything of each",
                fix="slice by columns with fewer values",
            )
        return cls(kept)

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Compare every gap; `moved` names the groups whose answers changed, the strongest first."""
        columns = {column for column, _, _ in self.gaps}
        absent = sorted(columns - set(window.slices))
        if absent:
            return not_judged(NAME, window, f"the window has no column {absent[0]!r}"), state
        if window.whole is not None:
            return not_judged(NAME, window, "sketches of a window do not tell groups apart"), state
        told = tuple(sorted({answer for _, _, answer in self.gaps}))
        now = dict(_gaps(window.slices, window.predicted, told, window.codes))
        pairs = {key: (gap, now[key]) for key, gap in self.gaps.items() if key in now and now[key].judged}
        if not pairs:
            return not_judged(NAME, window, "no group has rows enough, with an answer and without"), state
        limit = float(ndtri(1.0 - REFERENCE_DELTA))
        level = float(ndtri(1.0 - look.alpha / len(self.gaps) / 2.0))
        evidence = {
            key: abs(after.value - before.value) / (limit * before.error + level * after.error + look.tolerance)
            for key, (before, after) in pairs.items()
        }
        order = sorted(evidence, key=lambda key: (-evidence[key], key))
        alarms = [key for key in order if evidence[key] >= 1.0]
        what = "groups are answered otherwise than before" if alarms else "groups are answered as before"
        most = _words(order[0], *pairs[order[0]])
        signal = Signal(
            detector=NAME,
            evidence=evidence[order[0]],
            alarm=bool(alarms),
            alpha=look.alpha,
            n=window.rows,
            message=f"{what}; most changed is {most} ({strength(evidence[order[0]])})",
            moved=tuple(_words(key, *pairs[key]) for key in alarms[:MOST_TOLD]),
            example_ids=_examples(alarms[0], *pairs[alarms[0]], window) if alarms else (),
            figures={"judged": True, "gaps": len(pairs), "gaps_not_judged": len(self.gaps) - len(pairs)},
        )
        return signal, state

    def to_json(self) -> Json:
        return {
            "gaps": [
                [*key, gap.inside.marked, gap.inside.n, gap.others.marked, gap.others.n]
                for key, gap in self.gaps.items()
            ]
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> GroupAnswersDetector:
        return cls(
            {
                (str(column), str(value), str(answer)): _Gap(
                    Share(float(marked), float(n)), Share(float(others), float(of))
                )
                for column, value, answer, marked, n, others, of in state["gaps"]
            }
        )


def _gaps(
    slices: Mapping[str, AnyArray], predicted: AnyArray, told: tuple[str, ...], codes: AnyArray | None
) -> Iterator[tuple[tuple[str, str, str], _Gap]]:
    """Every gap that has rows on both sides, of these answers. Of two values one says it all."""
    answers = predicted.astype(str)
    for column, values in slices.items():
        texts = np.array(["" if value is None else str(value) for value in values])
        known = np.array([value is not None for value in values], dtype=np.bool_)
        present = sorted(set(texts[known].tolist()))
        for value in present[1:] if len(present) == 2 else present:
            member = np.where(known, np.where(texts == value, 1, 0), -1)
            if np.any(member == 1) and np.any(member == 0):
                for answer in told:
                    yield (column, value, answer), _Gap.of(answers == answer, member, codes)


def _words(key: tuple[str, str, str], before: _Gap, after: _Gap) -> str:
    column, value, answer = key
    then = f"{before.inside.value:.1%} (others {before.others.value:.1%})"
    now = f"{after.inside.value:.1%} (others {after.others.value:.1%})"
    return f"{column}={value}, answer {answer!r}: {then} -> {now}"


def _examples(key: tuple[str, str, str], before: _Gap, after: _Gap, window: WindowData) -> tuple[str, ...]:
    """Rows of the group that got the answer which it gets more often now, or did not get the one it gets less often."""
    column, value, answer = key
    got = window.predicted.astype(str) == answer
    member = np.array([v is not None and str(v) == value for v in window.slices[column]], dtype=np.bool_)
    wanted = member & (got if after.value > before.value else ~got)
    return tuple(str(row) for row in window.ids[wanted][:EXAMPLES])
