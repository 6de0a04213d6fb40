"""Are more rows unlike anything known? The share of rows farther from the reference than all but a hundredth of it.

**Sees:** a new kind of input while it is rare, which a test of means sees late: a new cluster of 3% of the rows moves
their mean by little and triples the share beyond the limit.
**Compares:** the distance of each row to the fifth-nearest of up to 1,000 reference rows, by embeddings or, without
them, by columns on the reference's scales, with the distance that one in a hundred of *other* reference rows exceeds
(split conformal prediction). Of a window at most 20,000 rows are looked at.
**Statistic:** the rows beyond the limit, over how many would alarm: the smallest number whose chance is at most the
level,

    P( Binomial(rows, highest share that the reference leaves possible at 95%) >= number ) <= level

Of unchanged traffic about 1% lies beyond. More than 64 dimensions are looked at through 64 random directions, which
keep distances to about a tenth.
**Needs:** Embeddings or inputs. 400 independent reference rows that the model was not trained on (half to compare
with, half to say how far is far), and 20 independent rows a window.
**Promises:** its level at each look for 95 references of 100, exactly. Measured: 0.10 to 0.16 of the level on average,
0.39 to 0.69 at the 95th reference (docs/statistics/drift.md).
**Alarms for nothing:** where the reference has near-copies of its own rows that live rows have not: name the groups;
and for a season that the reference lacks.
**Silent:** for change within what is known: more of one known class, or fewer. Where the model was trained to bring
all inputs near to known classes, embeddings of a closed set can hide what is new: give raw features. A tenth of
questions out of scope in 1,000 rows was not seen in principal directions of TF-IDF (docs/limits.md).
**When it alarms:** the rows farthest away are the examples: open them, and ask whether they are a new kind, broken, or
a part of the world that the reference lacks. Label some of them before you retrain.
**Settings:** `data.group`, `watch.season`, `serve.log_inputs`; `budget.weights`. Off unless `watch.detectors` names
it.
**Source:** Vovk, Gammerman & Shafer 2005 (conformal prediction); Ramaswamy, Rastogi & Shim 2000 (distance to
neighbours).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray
from backstay.maths.threshold import MINIMUM_WINDOW
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.distances import Apart, distances_to, projected
from backstay.monitor.detectors.rates import Share
from backstay.monitor.detectors.verdict import EXAMPLES, not_judged, strength
from backstay.monitor.inputs import InputSpace
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

NAME = "novelty"
SEED = 20_261_122
BEYOND = 0.01
# Rows that fix the limit, and rows of a window that are looked at.
MOST_LIMIT = 20_000
MOST_WINDOW_ROWS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class NoveltyDetector:
    """Space, gallery [n, d] of projected rows, the limit, and the share of other reference rows beyond it."""

    space: InputSpace
    gallery: AnyArray
    limit: float
    beyond: Share

    @classmethod
    def fit(cls, reference: Reference) -> NoveltyDetector | None:
        """None without inputs. Raises BackstayError when fewer than 400 independent rows were not learned from."""
        apart = Apart.of(reference, MOST_LIMIT)
        if apart is None:
            return None
        far = np.sort(apart.distances)
        above = max(int(BEYOND * len(far)), 1)
        # Of n + 1 exchangeable rows the chance to lie above the (above + 1)-th largest of n is known: a Beta law, whose
        # upper limit is that of a share with `above` of n marked.
        return cls(apart.space, apart.gallery, float(far[len(far) - 1 - above]), Share(float(above), float(len(far))))

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Test the share of rows beyond the limit; on an alarm show those farthest away."""
        if not self.space.reads(window):
            return not_judged(NAME, window, "the window has no embeddings or inputs"), state
        chosen = _chosen(window)
        codes = window.codes
        groups = None if codes is None else codes[chosen]
        rows = len(chosen) if groups is None else len(np.unique(groups))
        if rows < MINIMUM_WINDOW:
            why = f"{window.rows} rows are worth {rows} independent ones, at least {MINIMUM_WINDOW} are needed"
            return not_judged(NAME, window, why), state
        distances = distances_to(self.gallery, projected(self.space, window, chosen))
        now = Share.of(distances > self.limit, groups)
        evidence = self.beyond.evidence(now, look.alpha)
        alarm = evidence >= 1.0
        what = "more rows than usual are unlike anything known" if alarm else "rows are as near to known ones as before"
        far = np.argsort(-distances, kind="stable")
        signal = Signal(
            detector=NAME,
            evidence=evidence,
            alarm=alarm,
            alpha=look.alpha,
            n=window.rows,
            message=f"{what}, {now.value:.1%} of them ({self.beyond.value:.1%} before): {strength(evidence)}",
            moved=(f"rows unlike the reference: {self.beyond.value:.1%} -> {now.value:.1%}",) if alarm else (),
            example_ids=_first_of_each(window.ids[chosen[far]], None if groups is None else groups[far])
            if alarm
            else (),
            figures={
                "judged": True,
                "share": now.value,
                "share_before": self.beyond.value,
                "share_allowed": self.beyond.allowed,
                "limit": self.limit,
                "farthest": float(distances[far[0]]),
            },
        )
        return signal, state

    def to_json(self) -> Json:
        """The gallery as float32 in base64: a matrix of thousands of numbers is no text."""
        return {
            "space": self.space.to_json(),
            "gallery": base64.b64encode(np.ascontiguousarray(self.gallery, dtype="<f4").tobytes()).decode(),
            "width": int(self.gallery.shape[1]),
            "limit": self.limit,
            "beyond": self.beyond.to_json(),
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> NoveltyDetector:
        gallery = np.frombuffer(base64.b64decode(state["gallery"]), dtype="<f4").reshape(-1, int(state["width"]))
        return cls(
            InputSpace.from_json(state["space"]), gallery, float(state["limit"]), Share.from_json(state["beyond"])
        )


def _chosen(window: WindowData) -> AnyArray:
    """Row numbers that are looked at: all, or some drawn by seed."""
    if len(window) <= MOST_WINDOW_ROWS:
        return np.arange(len(window))
    rng = np.random.Generator(np.random.PCG64(SEED))
    return np.sort(rng.choice(len(window), MOST_WINDOW_ROWS, replace=False))


def _first_of_each(ids: AnyArray, groups: AnyArray | None) -> tuple[str, ...]:
    """The first ids, one a group."""
    if groups is not None:
        ids = ids[np.sort(np.unique(groups, return_index=True)[1])]
    return tuple(str(one) for one in ids[:EXAMPLES])
