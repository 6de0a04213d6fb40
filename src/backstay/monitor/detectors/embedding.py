"""Do inputs look different? Random-Fourier sketch of embeddings (or input rows) against the fixed reference.

Sees any change of the distribution, most of the mean and least of scale in high dimension (a change of scale by 8%
was seen by no test that we tried). Wrong when: the traffic has seasons that the reference lacks, or comes in bursts
that no group marks. It says that inputs moved, never that the model is worse: read the estimates beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray, FloatArray
from backstay.maths.fourier import FourierMap, median_bandwidth
from backstay.maths.meanshift import MeanShift
from backstay.maths.sketches.hashes import hash_ids, levels
from backstay.maths.sketches.means import MeanSketch
from backstay.maths.sketches.moments import Moments
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

NAME = "embedding"
SEED = 20_260_101
MOST_ROWS = 20_000
# Of larger windows a part is looked at, drawn by the hash of row ids: beside 20,000 reference rows it says as much.
MOST_WINDOW_ROWS = 65_536
# A trait is told when its mean moved by this many of its own standard deviations.
TOLD = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingDetector:
    """Space, seeded Fourier map and the reference's mean with its error; traits as (mean, standard deviation)."""

    space: InputSpace
    fourier: FourierMap
    shift: MeanShift
    traits: Mapping[str, tuple[float, float]]

    @classmethod
    def fit(cls, reference: Reference) -> EmbeddingDetector | None:
        """From at most 20,000 reference rows, drawn by a fixed seed."""
        space = InputSpace.fit(reference)
        if space is None:
            return None
        if not space.parts:
            reference = reference.unlearned()
        rng = np.random.Generator(np.random.PCG64(SEED))
        if len(reference) > MOST_ROWS:
            reference = reference.take(np.sort(rng.choice(len(reference), MOST_ROWS, replace=False)))
        rows = space.rows(reference)
        if rows is None:
            return None
        fourier = FourierMap(SEED, space.dimension, bandwidth=median_bandwidth(rows, rng))
        shift = MeanShift.fit(fourier.features(rows), groups=reference.codes)
        traits = {name: (float(values.mean()), float(values.std())) for name, values in reference.traits.items()}
        return cls(space, fourier, shift, traits)

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Test the window; on an alarm name the traits that moved and the rows that show it most."""
        if window.whole is None and not self.space.reads(window):
            return not_judged(NAME, window, "the window has no embeddings or inputs"), state
        why = too_few(self.shift, window)
        if why is not None:
            return not_judged(NAME, window, why), state
        chosen = _chosen(window)
        if window.whole is None:
            sketch = self._sketch(window, chosen)
        else:
            sketch = window.whole.measures[NAME].thinned[NAME].kept
        codes = window.codes
        result = check(self.shift, sketch, None if codes is None else codes[chosen], look, look.alpha)
        more, wanted = more_rows(self.shift, result, look.alpha, MOST_ROWS)
        moved = self._moved(window) if result.alarm else ()
        what = "the inputs look different from the reference" if result.alarm else "the inputs look as before"
        signal = Signal(
            detector=NAME,
            evidence=result.evidence,
            alarm=result.alarm,
            alpha=look.alpha,
            n=window.rows,
            message=f"{what}: {strength(result.evidence)}{more}",
            moved=moved,
            example_ids=self._examples(sketch.mean, chosen, window) if result.alarm else (),
            figures={**figures(result), **wanted},
        )
        return signal, state

    def measure(self, window: WindowData, before: Measures | None = None) -> Measures:
        """The thinned sketch of the inputs, and the moments of the traits."""
        if not self.space.reads(window):
            raise BackstayError("the window has no embeddings or inputs", fix="log them with every prediction")
        key, width = map_key(NAME, self.fourier), self.fourier.features_out
        sketch = ThinnedSketch.empty(key, width, MOST_WINDOW_ROWS) if before is None else before.thinned[NAME]
        sketch = sketch.add(hash_ids(window.ids), lambda rows: self._features(window, rows))
        traits = {name: Moments.of(window.traits[name]) for name in self.traits if name in window.traits}
        if before is not None:
            traits = {name: before.moments[name].merge(part) for name, part in traits.items()}
        return Measures(thinned={NAME: sketch}, moments=traits)

    def _features(self, window: WindowData, rows: AnyArray) -> FloatArray:
        found = self.space.rows(window, rows)
        if found is None:
            raise BackstayError("the window has no embeddings or inputs", fix="log them with every prediction")
        return self.fourier.features(found)

    def _sketch(self, window: WindowData, chosen: AnyArray) -> MeanSketch:
        key = map_key(NAME, self.fourier)
        found = MeanSketch.empty(key, self.fourier.features_out)
        for part in slices(len(chosen)):
            found = found.merge(MeanSketch.of(key, self._features(window, chosen[part])))
        return found

    def _examples(self, mean: FloatArray, chosen: AnyArray, window: WindowData) -> tuple[str, ...]:
        """Of the rows at hand that were looked at, those that show the change."""
        if not self.space.reads(window):
            return ()
        return witnesses(self.shift, mean, lambda rows: self._features(window, chosen[rows]), window, chosen)

    def _moved(self, window: WindowData) -> tuple[str, ...]:
        found = []
        moments = {} if window.whole is None else window.whole.measures[NAME].moments
        for name, (mean, spread) in self.traits.items():
            if name in moments:
                now = moments[name].mean
            elif name in window.traits:
                now = float(np.mean(window.traits[name]))
            else:
                continue
            distance = abs(now - mean) / max(spread, 1e-12)
            if distance >= TOLD:
                found.append((distance, f"{name}: {mean:.3g} -> {now:.3g}"))
        return tuple(words for _, words in sorted(found, reverse=True)) or ("the mix of inputs as a whole",)

    def to_json(self) -> Json:
        return {
            "space": self.space.to_json(),
            "fourier": self.fourier.to_json(),
            "shift": self.shift.to_json(),
            "traits": {name: list(pair) for name, pair in self.traits.items()},
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> EmbeddingDetector:
        return cls(
            InputSpace.from_json(state["space"]),
            FourierMap.from_json(state["fourier"]),
            MeanShift.from_json(state["shift"]),
            {name: (float(mean), float(spread)) for name, (mean, spread) in state["traits"].items()},
        )


def _chosen(window: WindowData) -> AnyArray:
    """Row numbers that are looked at: all of an ordinary window; the same ones that a thinned sketch would read."""
    if len(window) <= MOST_WINDOW_ROWS:
        return np.arange(len(window))
    hashes = hash_ids(window.ids)
    return np.flatnonzero(levels(hashes) >= thinned_level(hashes, MOST_WINDOW_ROWS))
