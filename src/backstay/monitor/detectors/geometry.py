"""Do embeddings lie differently among each other? Spread, collapse and neighbourhoods against the fixed reference.

**Sees:** embeddings that shrink, collapse onto few directions or crowd together (an encoder that broke, a feed that
repeats itself), and rows that fall between what is known, where their means stay.
**Compares:** five numbers a row of the window with those of reference rows: log distance to the centre, cosine to it,
the share along the leading directions, log distances to the nearest and to the fifth-nearest of up to 500 reference
rows.
**Statistic:** T = |window mean - reference mean|^2 of the five, in whitened coordinates. Cost: distances to 500 rows.
**Needs:** Embeddings. 50 reference rows that the model was not trained on beside those to measure distances to, better
a thousand; of raw columns it is left out.
**Promises:** of looks at unchanged traffic no more alarm than its level (its share of the budget over the looks of a
year) on average over references, and no more than 1.5 times that for 95 references of 100. Measured with 1,000
reference rows and windows of 200: 0.17 of the level on average, 0.86 at the 95th reference (docs/statistics/drift.md).
**Alarms for nothing:** where the model was trained on the reference rows, which it embeds tighter than others: say
which they were; where the reference has near-copies of its rows that live rows have not: name the groups.
**Silent:** for rows that move and keep their distances, which is what `embedding` looks at; five numbers are few.
**When it alarms:** read which three of the five moved most, and look whether the encoder, its inputs or what feeds
them was changed or repeats itself. It says that the shape changed, not where.
**Settings:** `data.group`, `predictions.embedding` (of a model that lives elsewhere); `budget.weights`. Off unless
`watch.detectors` names it. Prefer `embedding` for where rows lie, and this one beside it where embeddings come from a
model that others change.
**Source:** ours, on the mean-shift test of docs/statistics/drift.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray, FloatArray
from backstay.maths.meanshift import MINIMUM_REFERENCE, MeanShift
from backstay.maths.shape import ShapeMap
from backstay.maths.sketches.hashes import hash_ids, levels
from backstay.maths.sketches.means import MeanSketch
from backstay.maths.sketches.thinned import ThinnedSketch, thinned_level
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.verdict import (
    check,
    figures,
    more_rows,
    not_judged,
    slices,
    strength,
    too_few,
    witnesses,
)
from backstay.monitor.inputs import InputSpace
from backstay.monitor.measures import Measures, map_key
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

NAME = "geometry"
SEED = 20_261_123
GALLERY = 500
MOST_ROWS = 20_000
MOST_WINDOW_ROWS = 16_384
TOLD = (
    "log distance to the centre",
    "cosine to the centre",
    "share along the leading directions",
    "log distance to the nearest known row",
    "log distance to the fifth-nearest known row",
)


@dataclass(frozen=True, slots=True, eq=False)
class GeometryDetector:
    """Space, map of shape, and the reference's mean shape with its error."""

    space: InputSpace
    shape: ShapeMap
    shift: MeanShift

    @classmethod
    def fit(cls, reference: Reference) -> GeometryDetector | None:
        """None without embeddings. Raises BackstayError when too few rows are left beside those of the gallery."""
        space = InputSpace.fit(reference)
        if space is None or space.parts:
            return None
        reference = reference.unlearned()
        rng = np.random.Generator(np.random.PCG64(SEED))
        gallery, others = _divided(reference, rng)
        if len(others) < MINIMUM_REFERENCE:
            raise BackstayError(
                f"{len(reference)} reference rows that the model was not trained on",
                fix="give some hundreds: a part serves to measure distances to",
            )
        known, rest = space.rows(reference, gallery), space.rows(reference, others)
        if known is None or rest is None:
            return None
        shape = ShapeMap.fit(rest, known)
        codes = None if reference.codes is None else reference.codes[others]
        return cls(space, shape, MeanShift.fit(shape.features(rest), groups=codes, whiten=True))

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Test the window; on an alarm say which of the five numbers moved, and show rows that moved it."""
        if window.whole is None and not self.space.reads(window):
            return not_judged(NAME, window, "the window has no embeddings"), state
        why = too_few(self.shift, window)
        if why is not None:
            return not_judged(NAME, window, why), state
        chosen = _chosen(window)
        codes = None if window.codes is None else window.codes[chosen]
        if window.whole is None:
            sketch = self._sketch(window, chosen)
        else:
            sketch = window.whole.measures[NAME].thinned[NAME].kept
        result = check(self.shift, sketch, codes, look, look.alpha)
        more, wanted = more_rows(self.shift, result, look.alpha, MOST_ROWS)
        what = "embeddings lie differently among each other" if result.alarm else "embeddings lie as before"
        signal = Signal(
            detector=NAME,
            evidence=result.evidence,
            alarm=result.alarm,
            alpha=look.alpha,
            n=window.rows,
            message=f"{what}: {strength(result.evidence)}{more}",
            moved=self._moved(sketch.mean) if result.alarm else (),
            example_ids=self._examples(sketch.mean, chosen, window) if result.alarm else (),
            figures={**figures(result), **wanted},
        )
        return signal, state

    def measure(self, window: WindowData, before: Measures | None = None) -> Measures:
        """The thinned sketch of the shape."""
        key, width = map_key(NAME, self.shape), len(TOLD)
        sketch = ThinnedSketch.empty(key, width, MOST_WINDOW_ROWS) if before is None else before.thinned[NAME]
        return Measures(thinned={NAME: sketch.add(hash_ids(window.ids), lambda rows: self._features(window, rows))})

    def _features(self, window: WindowData, rows: AnyArray) -> FloatArray:
        found = self.space.rows(window, rows)
        if found is None:
            raise BackstayError("the window has no embeddings", fix="log them with every prediction")
        return self.shape.features(found)

    def _sketch(self, window: WindowData, chosen: AnyArray) -> MeanSketch:
        key = map_key(NAME, self.shape)
        found = MeanSketch.empty(key, len(TOLD))
        for part in slices(len(chosen)):
            found = found.merge(MeanSketch.of(key, self._features(window, chosen[part])))
        return found

    def _moved(self, mean: FloatArray) -> tuple[str, ...]:
        """The three that moved most, in proportion to what they were."""
        before = self.shift.mean
        distance = np.abs(mean - before) / np.maximum(np.abs(before), 1e-3)
        order = np.argsort(-distance, kind="stable")[:3]
        return tuple(f"{TOLD[i]}: {before[i]:.3g} -> {mean[i]:.3g}" for i in order)

    def _examples(self, mean: FloatArray, chosen: AnyArray, window: WindowData) -> tuple[str, ...]:
        if not self.space.reads(window):
            return ()
        return witnesses(self.shift, mean, lambda rows: self._features(window, chosen[rows]), window, chosen)

    def to_json(self) -> Json:
        return {"space": self.space.to_json(), "shape": self.shape.to_json(), "shift": self.shift.to_json()}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> GeometryDetector:
        return cls(
            InputSpace.from_json(state["space"]),
            ShapeMap.from_json(state["shape"]),
            MeanShift.from_json(state["shift"]),
        )


def _divided(reference: Reference, rng: np.random.Generator) -> tuple[AnyArray, AnyArray]:
    """Row numbers of the gallery and of the rest; no group is in both."""
    codes = np.arange(len(reference)) if reference.codes is None else reference.codes
    kinds = rng.permutation(np.unique(codes))
    held = kinds[: min(GALLERY, max(len(kinds) // 4, 1))]
    inside = np.isin(codes, held)
    gallery = np.flatnonzero(inside)
    others = np.flatnonzero(~inside)
    if len(others) > MOST_ROWS:
        others = np.sort(rng.choice(others, MOST_ROWS, replace=False))
    return gallery[:GALLERY], others


def _chosen(window: WindowData) -> AnyArray:
    """Row numbers that are looked at: the same ones that a thinned sketch would read."""
    if len(window) <= MOST_WINDOW_ROWS:
        return np.arange(len(window))
    hashes = hash_ids(window.ids)
    return np.flatnonzero(levels(hashes) >= thinned_level(hashes, MOST_WINDOW_ROWS))
