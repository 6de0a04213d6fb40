"""Can labels and reviewers still be believed? Agreement, corrections, and whether people check what they are shown.

**Sees:** sources that disagree, people who correct more or no longer look, decisions in haste, and known-wrong answers
that pass.
**Compares:** five shares, each only where feedback tells of it, none guessed where it does not, with their own first
hundred outcomes:

- *disagreement*: rows that two trusted sources labelled, and differently;
- *corrections*: decisions (feedback of kind `override`) that differ from the model's answer; a rise means that people
  no longer agree with the model;
- *acceptance*: the same decisions the other way; a fall of corrections means that people no longer look, or that the
  model became better;
- *haste*: decisions that accept the answer in less than a third of the usual time; needs `seconds` with the feedback;
- *missed*: known-wrong answers, shown to people who consented (kind `seeded`), that were accepted.

**Statistic:** a Shiryaev-Roberts e-detector over the outcomes of each share in order of arrival, against the upper
limit of its first hundred (95%, over all five) plus `watch.tolerance`; *missed* against "three in ten are missed",
from the first on. A value `true`, `overridden` or another class than the model's counts as an override.
**Needs:** Feedback. Labels of two sources, overrides or seeded cases, and 100 outcomes of a share before it is judged;
absent for numbers and sets of labels.
**Promises:** on average no more false alarms a year than its share of the budget, split over the five, for 95
baselines of 100. Measured with all five: 0.09 of it on average, 0.07 at the 95th baseline (docs/statistics/errors.md).
**Alarms for nothing:** where who reviews changes together with what is reviewed; a fall of corrections alone does not
tell carelessness from a better model: *missed* does.
**Silent:** for what nobody feeds back, as where only doubtful decisions are reported; for what was bad in the first
hundred outcomes already; for labels that are wrong alike in all sources.
**When it alarms:** read which share rose and open the rows it shows. Ask the reviewers, look at what they were shown,
and seed known-wrong cases where nobody does. Of *feedback loops* it warns, without an alarm: when labels that nobody
drew come for some answers only, so that what was not acted upon is never found wrong.
**Settings:** `labels.trusted_sources`, `watch.tolerance`, `budget.labels_per_month`; `budget.weights`. Off unless
`watch.detectors` names it.
**Source:** Shin, Ramdas & Rinaldo 2023 (e-detectors).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from backstay.kernel.clock import utc
from backstay.kernel.records import Json, Signal
from backstay.maths.threshold import MINIMUM_WINDOW
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.streams import FIRST, Stream
from backstay.monitor.detectors.verdict import EXAMPLES, not_judged, strength
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import Opinion, WindowData

NAME = "label_quality"
WORDS = {
    "disagreement": "labelled differently by two sources",
    "corrections": "corrected",
    "acceptance": "accepted",
    "haste": "accepted in haste",
    "missed": "known-wrong answers accepted",
}
# More known-wrong answers accepted than these, and people no longer check.
MISSED = 0.3
HASTY = 1.0 / 3.0
OVERRIDDEN = ("true", "overridden", "yes", "1")
ACCEPTED = ("false", "accepted", "no", "0")
# Rows with two labels that are remembered, so that none is counted twice.
MOST_PAIRED = 20_000
# Labels that came by themselves, from which on they can show that some answers are never labelled.
FEWEST_SELECTIVE = 30
LOOP_LEVEL = 0.001


@dataclass(frozen=True, slots=True)
class LabelQualityDetector:
    """The classes, to tell a corrected answer; all else is learnt from the stream."""

    classes: tuple[str, ...]

    @classmethod
    def fit(cls, reference: Reference) -> LabelQualityDetector | None:
        """Always: whether feedback tells of decisions is seen in the windows. None where only inputs are known, and of
        numbers and sets of labels, where a correction says no class."""
        return cls(reference.classes) if reference.of_classes else None

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Bet on the outcomes that have come since the last look."""
        until = None if state.get("until") is None else datetime.fromisoformat(state["until"])
        fresh = [o for o in window.opinions if until is None or o.at >= until]
        doubles, paired = _pairs(window.opinions, state.get("paired", []))
        times = list(map(float, state.get("seconds", [])))
        outcomes, ids, times = self._outcomes(fresh, doubles, times)
        streams = {
            name: Stream.from_json(state.get(name)).fed(
                outcomes[name],
                look,
                len(WORDS),
                null=MISSED if name == "missed" else None,
                tolerance=look.tolerance,
            )
            for name in WORDS
        }
        after: Json = {name: stream.to_json() for name, stream in streams.items()}
        after |= {"until": utc(window.end).isoformat(), "paired": paired, "seconds": times}
        loop = _loop(window)
        seen = {name: stream for name, stream in streams.items() if stream.recent and (stream.detector is not None)}
        if not seen:
            waiting = [f"{name} {stream.n} of {FIRST}" for name, stream in streams.items() if stream.n]
            why = f"learning what is usual: {', '.join(waiting)}" if waiting else "no doubly labelled rows or decisions"
            return not_judged(NAME, window, why if not loop else f"{why}; {loop}"), after
        alarms = [name for name, stream in seen.items() if stream.alarm]
        strongest = max(stream.evidence for stream in seen.values())
        what = "people and labels are not what they were" if alarms else "labels and decisions are as before"
        told = "; ".join([seen[name].words(WORDS[name]) for name in (alarms or seen)] + ([loop] if loop else []))
        signal = Signal(
            detector=NAME,
            evidence=strongest,
            alarm=bool(alarms),
            alpha=sum(stream.alpha for stream in streams.values()),
            n=sum(len(found) for found in outcomes.values()),
            message=f"{what}: {told} ({strength(strongest)})",
            moved=tuple(seen[name].words(WORDS[name]) for name in alarms),
            example_ids=tuple(dict.fromkeys(i for name in alarms for i in ids[name]))[-EXAMPLES:],
            figures={
                "judged": True,
                "evidence_by_share": {name: stream.evidence for name, stream in seen.items()},
                "feedback_loop": loop,
            },
        )
        return signal, after

    def _outcomes(
        self, fresh: Sequence[Opinion], doubles: Sequence[tuple[str, bool]], times: list[float]
    ) -> tuple[dict[str, list[float]], dict[str, list[str]], list[float]]:
        """Outcomes by share, the ids that are marked, and the decision times of the baseline."""
        outcomes: dict[str, list[float]] = {name: [] for name in WORDS}
        ids: dict[str, list[str]] = {name: [] for name in WORDS}

        def add(name: str, prediction_id: str, marked: bool) -> None:
            outcomes[name].append(float(marked))
            if marked:
                ids[name].append(prediction_id)

        for prediction_id, differ in doubles:
            add("disagreement", prediction_id, differ)
        for opinion in fresh:
            overridden = self._overridden(opinion)
            if overridden is None:
                continue
            if opinion.kind == "seeded":
                add("missed", opinion.prediction_id, not overridden)
            if opinion.kind != "override":
                continue
            add("corrections", opinion.prediction_id, overridden)
            add("acceptance", opinion.prediction_id, not overridden)
            if opinion.seconds is None:
                continue
            if len(times) < FIRST:
                times = [*times, opinion.seconds]
            else:
                hasty = opinion.seconds < HASTY * float(np.median(times))
                add("haste", opinion.prediction_id, hasty and not overridden)
        return outcomes, ids, times

    def _overridden(self, opinion: Opinion) -> bool | None:
        """Whether a person decided otherwise than the model; None where the value does not say."""
        if opinion.kind not in ("override", "seeded"):
            return None
        if opinion.value in self.classes:
            return opinion.value != opinion.predicted
        value = opinion.value.lower()
        return True if value in OVERRIDDEN else False if value in ACCEPTED else None

    def to_json(self) -> Json:
        return {"classes": list(self.classes)}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> LabelQualityDetector:
        return cls(tuple(map(str, state["classes"])))


def _pairs(opinions: Sequence[Opinion], paired: Sequence[str]) -> tuple[list[tuple[str, bool]], list[str]]:
    """Rows that a second source has labelled and that were not counted yet: (id, whether they differ), and all so far.

    The first two sources of a row count; a third would ask the same question again.
    """
    known, first, found = set(paired), dict[str, Opinion](), list[tuple[str, bool]]()
    for opinion in opinions:
        if opinion.kind != "label" or opinion.prediction_id in known:
            continue
        before = first.setdefault(opinion.prediction_id, opinion)
        if before.source != opinion.source:
            found.append((opinion.prediction_id, before.value != opinion.value))
            known.add(opinion.prediction_id)
    return found, [*paired, *(prediction_id for prediction_id, _ in found)][-MOST_PAIRED:]


def _loop(window: WindowData) -> str:
    """A sentence where labels that nobody drew come for some answers only; "" otherwise."""
    selective = Counter(row.predicted for row in window.labels if not row.representative)
    n = sum(selective.values())
    if n < FEWEST_SELECTIVE or len(window) < MINIMUM_WINDOW:
        return ""
    shares = {answer: count / len(window) for answer, count in Counter(map(str, window.predicted)).items()}
    never = [answer for answer, share in shares.items() if answer not in selective and (1 - share) ** n <= LOOP_LEVEL]
    if not never:
        return ""
    named = ", ".join(repr(answer) for answer in sorted(never))
    return f"none of {n} labels that came by themselves is of an answer {named}: what these miss nobody will learn"
