"""Do people still use the answers? Clicks, conversions, dwell and ratings of this release against its own beginning.

**Sees:** a fall of what people do with the answers, and a release that does worse than another that answers beside it.
**Compares:** each window with the first two windows of the release; and, where two releases answer at the same time,
the other one's rows with this one's over all such windows.
**Statistic:** the fall of the mean since the baseline, over the fall that would alarm:

    clicks, conversions:  the exact binomial tail of rows that were not used, against the baseline's upper 95% limit
    dwell, ratings:       t(0.95) s0 / sqrt(n0) + t(1 - level) max(s0, s1) / sqrt(n1),  0 the baseline, 1 the window

and in any case a twentieth of what was usual. Feedback of kind `click` or `conversion` counts a row as used, `dwell`
gives seconds (none: 0), `rating` a number (rows without one are left out). Only what comes within a day of the answer
counts (a quarter of a window that is shorter), and only rows that old are looked at, so that young rows do not look
unloved. Rows of one group (a person) count as one. Dwell and ratings are clipped at what 1% of the first window
exceeds. The comparison of two releases is an asymptotic confidence sequence, right at every look.
**Needs:** Feedback. Clicks, conversions, dwell or ratings by id of the answer, and 200 independent rows in the
baseline and in the window.
**Promises:** half of its share is spread over the windows, half is for the comparison of two releases; both are split
over the kinds. For 95 baselines of 100 a window alarms at no more than its level. Measured with 400 and 4,000 rows a
week: 0 to 0.10 of the level on average, at most 0.53 at the 95th baseline (docs/statistics/comparisons.md). A planned
split that is kept is doubted in no more than one trial of a hundred, however often it is looked at.
**Alarms for nothing:** where engagement follows a season that two windows do not hold, the first two windows were a
good time, or a page changed and not the model. A release that is compared with its own beginning was not dealt its
users at random: only two releases at once are an experiment.
**Silent:** with fewer than 200 independent rows; for a fall of less than a twentieth; for reactions that come later
than a day; with few that dwell: of 2% of 400 rows no fall can be shown. A slow fall since before the release is usual
to it.
**When it alarms:** look whether the page, the season or the people changed before the model is blamed; where a trial
runs, read whether its rows were dealt as planned.
**Settings:** `watch.planned_share` (the share of rows that the live release is meant to answer: where rows are not
dealt so, message and advice say that the two cannot be compared), `watch.window_days`, `data.group`. Off unless
`watch.detectors` names it.
**Source:** Clopper & Pearson 1934 (exact limits); Waudby-Smith et al. 2024 (asymptotic confidence sequences);
docs/statistics/comparisons.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
from scipy.special import stdtrit

from backstay.kernel.clock import utc
from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray, FloatArray
from backstay.maths.differences import LEAST, MeanDifference, Winsor, winsor_limits
from backstay.maths.intervals import bernoulli_sequence
from backstay.maths.sample_ratio import sample_ratio_e_value
from backstay.maths.sketches.moments import Moments
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.rates import REFERENCE_DELTA, Share, group_means
from backstay.monitor.detectors.verdict import not_judged, strength
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import Rival, WindowData

NAME = "engagement"
SHARES = ("click", "conversion")
NUMBERS = ("dwell", "rating")
BASELINE_WINDOWS = 2
HORIZON = timedelta(days=1)
LEAST_FALL = 0.05
BROKEN = 100.0
REFUSED = ("false", "no", "0")


@dataclass(frozen=True, slots=True)
class EngagementDetector:
    """Nothing is learnt from the reference; baseline windows and limits are in the state."""

    windows: int = BASELINE_WINDOWS

    @classmethod
    def fit(cls, reference: Reference) -> EngagementDetector | None:
        """Always where the model answers: whether people react is seen in the windows."""
        return cls() if reference.answered else None

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Learn the baseline, then compare each window with it, and with a rival's rows where there are some."""
        split, broken = _split(state.get("split", [0.0, 0.0]), window)
        kinds = sorted({o.kind for o in window.opinions if o.kind in (*SHARES, *NUMBERS)} | set(state.get("kinds", {})))
        if not kinds:
            why = "no clicks, conversions, dwell or ratings were fed back"
            kept = state if window.rival is None else {**state, "split": split}
            return _warned(not_judged(NAME, window, f"{why}{broken}"), broken), kept
        before = dict(state.get("kinds", {}))
        learning = int(state.get("windows", 0)) < self.windows
        found = [self._kind(kind, before.get(kind, {}), window, look, len(kinds), learning) for kind in kinds]
        after: Json = {
            "kinds": {kind: kept for kind, (kept, _) in zip(kinds, found, strict=True)},
            "windows": int(state.get("windows", 0)) + 1,
            "split": split,
        }
        judged = {kind: result for kind, (_, result) in zip(kinds, found, strict=True) if result is not None}
        if not judged:
            seen = after["windows"]
            why = (
                f"learning what is usual: {seen} of {self.windows} windows" if learning else f"fewer than {LEAST} rows"
            )
            return _warned(not_judged(NAME, window, f"{why}{broken}"), broken), after
        strongest = max(0.0, *(result.evidence for result in judged.values()))  # a rise is no fall
        alarms = sorted((r for r in judged.values() if r.evidence >= 1.0), key=lambda r: -r.evidence)
        what = "people use the answers less" if alarms else "people use the answers as before"
        signal = Signal(
            detector=NAME,
            evidence=strongest,
            alarm=bool(alarms),
            alpha=look.alpha,
            n=window.rows,
            message=f"{what}: {'; '.join(r.words for r in judged.values())}{broken} ({strength(strongest)})",
            moved=tuple(result.words for result in alarms),
            figures={
                "judged": True,
                "evidence_by_kind": {kind: r.evidence for kind, r in judged.items()},
                "split": split,
            },
        )
        return _warned(signal, broken), after

    def _kind(
        self, kind: str, state: Json, window: WindowData, look: Look, kinds: int, learning: bool
    ) -> tuple[Json, _Result | None]:
        """What is remembered of a kind after this window, and what it showed."""
        values, codes = _values(kind, window, None)
        limits = None if state.get("limits") is None else Winsor(*state["limits"])
        if limits is None and kind in NUMBERS and len(values):
            limits = winsor_limits(values)
        units = _units(values, codes, limits)
        baseline = Moments.from_json(state["baseline"]) if "baseline" in state else Moments()
        used, of = float(state.get("used", 0.0)), int(state.get("of", 0))
        if kind in SHARES:
            used, of = used + float(units.sum()), of + len(units)
        # A kind that was first heard of after the baseline has its own first windows for one.
        seen = int(state.get("windows", 0))
        fresh: Json = {"limits": None if limits is None else list(limits), "used": used, "of": of, "windows": seen + 1}
        if learning or seen < self.windows:
            return {**fresh, "baseline": baseline.merge(Moments.of(units)).to_json()}, None
        fresh["baseline"] = baseline.to_json()
        # Half the share is the rival's, whenever there is one: what is promised is for the year, not for this window.
        results = [_compared(kind, baseline, Moments.of(units), look.alpha / kinds / 2.0, used, of)]
        if window.rival is not None:
            theirs = _units(*_values(kind, window, window.rival), limits)
            both = MeanDifference.from_json(state["rival"]) if state.get("rival") else None
            both = both or MeanDifference.start(10 * LEAST, min(look.per_year / kinds / 2.0, 0.05))
            both = both.update(theirs, units)
            fresh["rival"] = both.to_json()
            results.append(_rivalled(kind, both, window.rival.release))
        known = [result for result in results if result is not None]
        if not known:
            return fresh, None
        return fresh, _Result(max(r.evidence for r in known), "; ".join(r.words for r in known))

    def to_json(self) -> Json:
        return {"windows": self.windows}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> EngagementDetector:
        return cls(int(state["windows"]))


@dataclass(frozen=True, slots=True)
class _Result:
    """What one kind showed."""

    evidence: float
    words: str


def _split(before: list[float], window: WindowData) -> tuple[list[float], str]:
    """Rows of this release and of its rival so far, and a warning where they are not dealt as was planned.

    At an e-value of 100, which a split that is kept ever reaches once in a hundred comparisons.
    """
    if window.rival is None:
        return before, ""
    counts = [before[0] + len(window), before[1] + len(window.rival.ids)]
    planned = window.rival.planned
    if planned is None:
        return counts, ""
    if sample_ratio_e_value(np.array(counts), np.array([1.0 - planned, planned])) < BROKEN:
        return counts, ""
    share = counts[1] / sum(counts)
    return counts, f"; {share:.1%} of rows went to the other release and {planned:.1%} were meant to: do not compare"


def _warned(signal: Signal, broken: str) -> Signal:
    """The signal with a broken split among the advice."""
    if not broken:
        return signal
    told = f"The two releases cannot be compared: {broken.removeprefix('; ').removesuffix(': do not compare')}."
    return replace(signal, figures={**signal.figures, "advice": told})


def _compared(kind: str, baseline: Moments, now: Moments, alpha: float, used: float, of: int) -> _Result | None:
    """The fall from the baseline as a multiple of what would alarm; None below 200 independent rows on a side."""
    if min(baseline.n, now.n) < LEAST:
        return None
    needed = (_share_fall if kind in SHARES else _mean_fall)(baseline, now, alpha)
    if kind in SHARES:
        low, high = bernoulli_sequence(used, of)
        told = f"since the release between {low:.1%} and {high:.1%}"
    else:
        half = float(np.sqrt(now.variance / now.n)) * float(stdtrit(now.n - 1, 0.975))
        told = f"between {now.mean - half:.3g} and {now.mean + half:.3g}"
    words = f"{kind} {_told(kind, baseline.mean)} at first -> {_told(kind, now.mean)} ({told})"
    return _Result((baseline.mean - now.mean) / max(needed, LEAST_FALL * abs(baseline.mean), 1e-12), words)


def _share_fall(baseline: Moments, now: Moments, alpha: float) -> float:
    """The fall of a share that alarms: exactly, since a small share is far from normal."""
    unused = Share(baseline.n * (1.0 - baseline.mean), float(baseline.n))
    return baseline.mean - 1.0 + unused.needed(float(now.n), alpha) / now.n


def _mean_fall(baseline: Moments, now: Moments, alpha: float) -> float:
    """The fall of a mean that alarms: the baseline's limit and Student's t of the window.

    Where large values are few, a window that lacks them has a low mean and a small spread, so that t by its own spread
    is low far more often than Student's law has it: the window's spread is at least the baseline's.
    """
    then = float(np.sqrt(baseline.variance / baseline.n)) * float(stdtrit(baseline.n - 1, 1.0 - REFERENCE_DELTA))
    variance = max(now.variance, baseline.variance)
    return then + float(np.sqrt(variance / now.n)) * float(stdtrit(now.n - 1, 1.0 - alpha))


def _rivalled(kind: str, both: MeanDifference, release: str) -> _Result | None:
    """This release less its rival, over all windows so far."""
    bounds = both.bounds()
    if not np.isfinite(bounds.low):
        return None
    half = bounds.high - both.difference
    words = f"{kind} less that of {release}: between {_told(kind, bounds.low)} and {_told(kind, bounds.high)}"
    return _Result(-both.difference / max(half, 1e-12), words)


def _told(kind: str, value: float) -> str:
    return f"{value:.1%}" if kind in SHARES else f"{value:.3g}"


def _values(kind: str, window: WindowData, rival: Rival | None) -> tuple[FloatArray, AnyArray | None]:
    """One value a row that is old enough, and the rows' groups: of the window's rows, or of its rival's."""
    ids, times, codes = (window.ids, window.times, window.codes) if rival is None else rival.parts
    horizon = min(HORIZON, (window.end - window.start) / 4)
    latest = np.datetime64((utc(window.end) - horizon).replace(tzinfo=None), "us")
    old = times <= latest
    reactions: dict[str, float] = {}
    for opinion in window.opinions if rival is None else rival.opinions:
        if opinion.kind == kind and opinion.at - opinion.predicted_at <= horizon:
            value = _number(kind, opinion.value)
            if value is not None:
                reactions[opinion.prediction_id] = max(value, reactions.get(opinion.prediction_id, value))
    if kind == "rating":
        old = old & np.array([str(row) in reactions for row in ids], dtype=np.bool_)
    values = np.array([reactions.get(str(row), 0.0) for row in ids[old]], dtype=np.float64)
    return values, None if codes is None else codes[old]


def _number(kind: str, value: str) -> float | None:
    """1 or 0 for clicks and conversions, the number of other kinds; None where it is none."""
    if kind in SHARES:
        return 0.0 if value.lower() in REFUSED else 1.0
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _units(values: FloatArray, codes: AnyArray | None, limits: Winsor | None) -> FloatArray:
    """Clipped values, one a group."""
    if len(values) == 0:
        return values
    clipped = values if limits is None else limits.clip(values)[0]
    return clipped if codes is None else group_means(clipped, codes)
