"""Did the traffic of one slice move, be it a small one? `columns`, `prediction` and `embedding` within each slice.

**Sees:** what a slice of a tenth does alone, which in the whole shows as a tenth of it.
**Compares:** for each value of each column of `data.slices`, the rows of the slice in the window with the reference
rows of the same slice.
**Statistic:** those of the detectors of columns and answers where there are columns, of embeddings and answers where
there are none; the level is split evenly over all slices and detectors.
**Needs:** Slices and what those detectors need. 300 reference rows of a slice: smaller ones are left out, and of more
than 20 slices the 20 with most rows are kept; both are told. Windows of sketches (a backfill) do not tell slices
apart.
**Promises:** each test keeps its promise for the one reference that you have, so their sum does. Measured with up to
five slices: 0.25 to 0.31 of the level on average, 0.58 to 0.70 at the 95th reference (docs/statistics/drift.md).
**Alarms for nothing:** where who belongs to the slice changed under the same name, which is what it says and may be no
news to you; and where `columns`, `prediction` and `embedding` do.
**Silent:** for a slice that becomes larger or smaller: name its column among the inputs for that. For slices with few
rows in a window, which are not judged; for slices of two columns at once; for small changes where there are many
slices, which share the level.
**When it alarms:** read which slice moved in what, and go on as with the detector that says so. `groups` and
`group_answers` ask of the same slices whether the model is worse for them, or answers them otherwise.
**Settings:** `data.slices`, `data.group`, `watch.season`; `budget.weights`. Off unless `watch.detectors` names it.
**Source:** Bonferroni's split over the tests of docs/statistics/drift.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray, IntArray
from backstay.monitor.detectors import DETECTORS, Detector, Look
from backstay.monitor.detectors.verdict import not_judged, strength
from backstay.monitor.reference import Reference
from backstay.monitor.sample import take
from backstay.monitor.traffic import WindowData

NAME = "slices"
FEWEST = 300
MOST_SLICES = 20
MOST_TOLD = 8
OF_TABLES, OF_OTHERS = ("columns", "prediction"), ("embedding", "prediction")


@dataclass(frozen=True, slots=True)
class SlicesDetector:
    """Fitted detectors by (column, value) and name; `left_out` are slices that are too small or too many."""

    members: Mapping[tuple[str, str], Mapping[str, Detector]]
    left_out: int

    @classmethod
    def fit(cls, reference: Reference) -> SlicesDetector | None:
        """None without slices. Raises BackstayError where no slice has rows enough."""
        if not reference.slices:
            return None
        sizes = _sizes(reference.slices)
        large = sorted((key for key in sizes if sizes[key] >= FEWEST), key=lambda key: (-sizes[key], key))
        members: dict[tuple[str, str], dict[str, Detector]] = {}
        rows = _rows(reference.slices, large[:MOST_SLICES])
        for key in large[:MOST_SLICES]:
            fitted = _fitted(reference.take(rows[key]))
            if fitted:
                members[key] = fitted
        if not members:
            raise BackstayError(
                f"no slice of {', '.join(reference.slices)} has {FEWEST} reference rows",
                fix="give a reference with more rows, or coarser slices",
            )
        return cls(members, len(sizes) - len(members))

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Judge each slice that has rows; `moved` says what moved in which, the strongest first."""
        absent = sorted({column for column, _ in self.members} - set(window.slices))
        if absent:
            return not_judged(NAME, window, f"the window has no column {absent[0]!r}"), state
        if window.whole is not None:
            return not_judged(NAME, window, "sketches of a window do not tell slices apart"), state
        rows = _rows(window.slices, self.members)
        parts = sum(len(detectors) for detectors in self.members.values())
        share = replace(look, alpha=look.alpha / parts, per_year=look.per_year / parts)
        judged: list[tuple[tuple[str, str], Signal]] = []
        for key, detectors in self.members.items():
            if len(rows[key]):
                inside = take(window, rows[key])
                signals = [detector.look({}, inside, share)[0] for detector in detectors.values()]
                judged += [(key, signal) for signal in signals if signal.figures.get("judged")]
        if not judged:
            return not_judged(NAME, window, "no slice has rows enough"), state
        judged.sort(key=lambda item: -item[1].evidence)
        (column, value), strongest = judged[0]
        alarms = [(key, signal) for key, signal in judged if signal.alarm]
        what = "some slices look different from the reference" if alarms else "each slice looks as before"
        told = len({key for key, _ in judged})
        signal = Signal(
            detector=NAME,
            evidence=strongest.evidence,
            alarm=bool(alarms),
            alpha=look.alpha,
            n=window.rows,
            message=f"{what}; most changed is {column}={value} ({strength(strongest.evidence)})",
            moved=tuple(f"{c}={v}: {words}" for (c, v), one in alarms for words in one.moved)[:MOST_TOLD],
            example_ids=alarms[0][1].example_ids if alarms else (),
            figures={
                "judged": True,
                "slices": told,
                "slices_not_judged": len(self.members) - told + self.left_out,
                "moved": sorted({f"{c}={v}" for (c, v), _ in alarms}),
            },
        )
        return signal, state

    def to_json(self) -> Json:
        return {
            "left_out": self.left_out,
            "members": [
                [*key, {name: detector.to_json() for name, detector in detectors.items()}]
                for key, detectors in self.members.items()
            ],
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> SlicesDetector:
        return cls(
            {
                (str(column), str(value)): {name: DETECTORS[name].from_json(one) for name, one in detectors.items()}
                for column, value, detectors in state["members"]
            },
            int(state["left_out"]),
        )


def _sizes(slices: Mapping[str, AnyArray]) -> Counter[tuple[str, str]]:
    """Rows of every value of every column. There may be as many values as rows: nothing is held of each but this."""
    return Counter((column, str(value)) for column, values in slices.items() for value in values if value is not None)


def _rows(slices: Mapping[str, AnyArray], wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], IntArray]:
    """The places of the rows of these slices, of none where there are none."""
    texts = {
        column: np.array([None if value is None else str(value) for value in values], dtype=object)
        for column, values in slices.items()
    }
    return {(column, value): np.flatnonzero(texts[column] == value) for column, value in wanted}


def _fitted(part: Reference) -> dict[str, Detector]:
    """The detectors that apply to the rows of one slice."""
    found = {}
    for name in OF_TABLES if part.columns else OF_OTHERS:
        try:
            detector = DETECTORS[name].fit(part)
        except BackstayError:  # the slice lacks what it needs: the others still look
            continue
        if detector is not None:
            found[name] = detector
    return found
