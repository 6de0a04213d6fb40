"""Are rows still draws from the same bag as the reference? Bets on the distance of each row, that go on over windows.

**Sees:** small changes of how far rows lie from what is known, which single windows drown.
**Compares:** the distance of each row to the fifth-nearest of up to 1,000 reference rows, as `novelty` measures it,
with those of other reference rows **and of all rows seen since**. Of a window at most 300 rows are looked at, drawn at
random, in order of time.
**Statistic:** a conformal test martingale with a growing bag:

    p = (how many in the bag lie farther + U (how many as far + 1)) / (n + 1),   U uniform on [0, 1]
    wealth is multiplied by 1 + 2 e (p - 1/2), shared over e in -1, -1/2, 0, 1/2, 1, 1% of it moved at each step

Each window lays its own level into the wealth, and an alarm is wealth of 1. After an alarm it begins anew with what it
has seen in its bag. Its state keeps one number for each row looked at.
**Needs:** Embeddings or inputs. 400 independent reference rows that the model was not trained on: half to compare
with, half for the bag.
**Promises:** while rows are exchangeable there are, on average over references, at most as many alarms as was laid,
however often it is looked at; what was lost while nothing changed does not make it deaf to what comes later. For the
one reference that you have what is laid is lowered by n / (n + 200), n the reference rows in the bag: measured shares
of years with an alarm are 0.35 to 0.64 of the level on average, 0.62 to 1.07 at the 95th reference
(docs/statistics/drift.md).
**Alarms for nothing:** where rows hang together and no group marks it, groups come back week after week, or there are
seasons.
**Silent:** for rows that move and lie no farther; for a change that stays, after its alarm: silence later is no
recovery. Of a spread wider by a twelfth, in windows of 300 against 1,500 reference rows, at a share of .2 a year, it
found 17 of 20 streams (four of each of five references) within four weeks, and `embedding` one.
**When it alarms:** look at the rows farthest away that it shows, and whether `novelty`, `geometry` or `embedding` say
where; ask for a season and for groups first, for it has no `watch.season` of its own.
**Settings:** `data.group`, `watch.window_days`, `serve.log_inputs`; `budget.weights`. Off unless `watch.detectors`
names it.
**Source:** Vovk, Gammerman & Shafer 2005; Vovk et al. 2021 (the bet).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backstay.kernel.ids import digest
from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray, FloatArray
from backstay.maths.exchangeability import GrowingBag
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.distances import Apart, distances_to, projected
from backstay.monitor.detectors.verdict import EXAMPLES, not_judged, strength
from backstay.monitor.inputs import InputSpace
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

NAME = "exchangeability"
MOST_BAG = 2000
# A year's alarms under an unlucky reference are more than on average, the more so the smaller it is.
LUCK = 200.0
# Rows of a window that are looked at: the bag keeps each.
MOST_WINDOW_ROWS = 300


@dataclass(frozen=True, slots=True, eq=False)
class ExchangeabilityDetector:
    """Space, gallery [n, d] of projected rows, and the distances of other reference rows that the bag begins with."""

    space: InputSpace
    gallery: AnyArray
    scores: FloatArray

    @classmethod
    def fit(cls, reference: Reference) -> ExchangeabilityDetector | None:
        """None without inputs. Raises BackstayError when fewer than 400 independent rows were not learned from."""
        apart = Apart.of(reference, MOST_BAG)
        return None if apart is None else cls(apart.space, apart.gallery, _rounded(apart.distances))

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Go on betting with rows of this window; on an alarm show those farthest away."""
        if not self.space.reads(window):
            return not_judged(NAME, window, "the window has no embeddings or inputs"), state
        rng = _chance(window)
        chosen = _chosen(window, rng)
        if not len(chosen):
            return not_judged(NAME, window, "the window has no rows"), state
        bag = _restored(state) if state else replace(GrowingBag.start(self.scores), log_wealth=-np.inf)
        bag = replace(bag.staked(lowered(look.alpha, len(self.scores))), peak=-np.inf)
        scores = _rounded(distances_to(self.gallery, projected(self.space, window, chosen)))
        after = bag.update(scores, rng.random(len(scores)))
        alarm = after.peak >= 0.0
        evidence = float(np.exp(min(after.peak if alarm else after.log_wealth, 700.0)))
        far = np.argsort(-scores, kind="stable")[:EXAMPLES]
        before, now = float(np.median(self.scores)), float(np.median(scores))
        what = "rows are no longer draws from the reference's bag" if alarm else "rows may be draws from the same bag"
        moved = f"distance from known rows, in the middle: {before:.3g} -> {now:.3g}"
        signal = Signal(
            detector=NAME,
            evidence=evidence,
            alarm=alarm,
            alpha=look.alpha,
            n=len(chosen),
            message=f"{what}: {strength(evidence)}",
            moved=(moved,) if alarm else (),
            example_ids=tuple(str(window.ids[chosen[place]]) for place in far) if alarm else (),
            figures={"judged": True, "steps": after.steps, "log_wealth": after.log_wealth},
        )
        if alarm:  # begun anew: what was seen stays in the bag, and all wealth is spent
            after = replace(after, shares=GrowingBag.start(self.scores).shares, log_wealth=-np.inf)
        return signal, _kept(after)

    def to_json(self) -> Json:
        return {
            "space": self.space.to_json(),
            "gallery": _packed(self.gallery),
            "width": int(self.gallery.shape[1]),
            "scores": _packed(self.scores),
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> ExchangeabilityDetector:
        gallery = _unpacked(state["gallery"]).reshape(-1, int(state["width"]))
        return cls(InputSpace.from_json(state["space"]), gallery, _unpacked(state["scores"]).astype(np.float64))


def lowered(level: float, known: int) -> float:
    """The level for one fixed reference with so many rows in the bag.

    >>> round(lowered(0.1, 200), 3), round(lowered(0.1, 2000), 3)
    (0.05, 0.091)
    """
    return level * known / (known + LUCK)


def _chance(window: WindowData) -> np.random.Generator:
    """The same whenever the same window is looked at."""
    return np.random.Generator(np.random.PCG64(int(digest(f"{NAME} {window.start.isoformat()}")[:16], 16)))


def _chosen(window: WindowData, rng: np.random.Generator) -> AnyArray:
    """Row numbers in order of time, drawn at random: one a group, and so many at most."""
    rows = rng.permutation(len(window))
    codes = window.codes
    if codes is not None:
        _, first = np.unique(codes[rows], return_index=True)
        rows = rows[np.sort(first)]
    rows = np.sort(rows[:MOST_WINDOW_ROWS])
    return np.asarray(rows[np.argsort(window.times[rows], kind="stable")])


def _rounded(distances: FloatArray) -> FloatArray:
    """In single precision, as they are kept: a score that is read again is the same score."""
    return distances.astype(np.float32).astype(np.float64)


def _kept(bag: GrowingBag) -> Json:
    return {**bag.to_json(), "scores": _packed(bag.scores)}


def _restored(state: Json) -> GrowingBag:
    return GrowingBag.from_json({**state, "scores": _unpacked(state["scores"]).astype(np.float64)})


def _packed(values: AnyArray) -> str:
    """Single precision in base64: thousands of numbers are no text."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def _unpacked(text: str) -> AnyArray:
    return np.frombuffer(base64.b64decode(text), dtype="<f4")
