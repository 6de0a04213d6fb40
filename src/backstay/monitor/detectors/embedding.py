"""Do inputs look different? Embeddings (or input rows) against the fixed reference: two tests, half the level each.

**Sees:** any change of where rows lie, be it of several columns together, of pictures or of texts.
**Compares:** the window's embeddings with those of up to 20,000 reference rows; without embeddings the columns
themselves, on the reference's scales. Of a window of more than 65,536 rows a part, drawn by the hash of the ids.
**Statistic:** the squared distance of two means, in two sets of features:

    kernel test:      random Fourier features, bandwidth the median distance of reference rows
    classifier test:  coordinates whitened by (S + 0.1)^-1/2, S the covariance of the reference's scaled coordinates

The *kernel test* sees any change of the distribution, above all where rows lie in clusters. The *classifier test* is
what a linear classifier between window and reference would gain on rows that it has not seen, averaged over all ways
to split the window: it sees small shifts of many coordinates, or along directions that hardly vary, which the kernel
test drowns. Neither is better on all changes: of 20 shifts by 0.1 standard deviations in 5% of 384 coordinates, 2,000
rows against 2,000, at a level of .05, the classifier found 20 and the kernel test 15; of 20 changes of scale by 8% the
kernel test 20 and the classifier 2 (docs/statistics/drift.md). Both read sums of rows, so that windows merge. Cost:
products of the rows with matrices of 128 columns and of d, in single precision: 10,000 rows of 384 numbers against
10,000, the reference's learning included, took 0.14 CPU-seconds (docs/scoreboard.md).
**Needs:** Embeddings or inputs. 50 reference rows that the model was not trained on (of embeddings), better a
thousand, and 20 independent rows a window.
**Promises:** of looks at unchanged traffic no more alarm than its level (its share of the budget over the looks of a
year) on average over references, and no more than 1.5 times that for 95 references of 100. Measured with 1,000
reference rows in eight clusters and windows of 200: 0.32 of the level on average, 0.81 at the 95th reference
(docs/statistics/drift.md). The signal says how small a shift may go unseen, and how many reference rows would mend
that.
**Alarms for nothing:** where the traffic has seasons that the reference lacks, or comes in bursts that no group marks;
where vectors of another version of an encoder or a service come in: all has moved then. It says that inputs moved,
never that the model is worse.
**Silent:** for a rare new kind of row (`novelty`), for changes of the answers or of what labels mean while inputs stay
(`prediction`, `confident_errors`), and for changes that its embeddings do not show: an encoder trained to bring all
rows near to known classes can hide what is new.
**When it alarms:** look at the rows of then and now side by side, and at the clusters of like rows whose share
changed. Then read the estimates of accuracy beside it, and label the rows that wait where these are refused; go on
with docs/why.md.
**Settings:** `data.group`, `watch.season`, `watch.window_days`, `serve.log_inputs`, `predictions.embedding` (of a
model that lives elsewhere); without learnt vectors its part of the budget is a third of that of `columns`.
**Source:** Rahimi & Recht 2007 (Fourier features); Gretton et al. 2012 (kernel test); Lopez-Paz & Oquab 2017 and Kim,
Ramdas, Singh & Wasserman 2021 (classifier test); thresholds for a fixed reference are ours (docs/statistics/drift.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray, RealArray
from backstay.maths.centring import centred_blocks
from backstay.maths.classifier import Classifier
from backstay.maths.clusters import clusters
from backstay.maths.fourier import FourierMap, median_bandwidth
from backstay.maths.gathered import Gathered
from backstay.maths.meanshift import MeanShift, ShiftResult
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
CLASSIFIER = "classifier"
# Each of the two tests spends half of what the detector may.
SHARE = 0.5
SEED = 20_260_101
MOST_ROWS = 20_000
# The bandwidth to a few percent is enough: it changes no level, and hardly any power.
BANDWIDTH_ROWS = 300
# Of larger windows a part is looked at, drawn by the hash of row ids: beside 20,000 reference rows it says as much.
MOST_WINDOW_ROWS = 65_536
# A trait is told when its mean moved by this many of its own standard deviations.
TOLD = 0.15


Features = Callable[[WindowData, AnyArray | slice], RealArray]


class _Test(NamedTuple):
    """One of the two tests of a window: the reference, how features of its rows are made, and their sum."""

    shift: MeanShift
    features: Features
    sketch: MeanSketch


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingDetector:
    """Space, seeded Fourier map and the reference's mean with its error, and the classifier that knows the reference;
    traits as (mean, standard deviation)."""

    space: InputSpace
    fourier: FourierMap
    shift: MeanShift
    classifier: Classifier
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
        rows = space.given(reference)
        if rows is None:
            return None
        centre = np.asarray(rows.mean(axis=0, dtype=np.float64))
        bandwidth = median_bandwidth(rows, rng, BANDWIDTH_ROWS)
        fourier = FourierMap(SEED, space.dimension, bandwidth=bandwidth, centre=tuple(centre.tolist()))
        grouping = clusters(reference.codes, len(rows))
        seen, squares = Gathered(fourier.features_out, grouping), np.zeros(len(centre))
        for near in centred_blocks(rows, centre):
            squares += np.einsum("ij,ij->j", near, near)
            seen.add(fourier.of_centred(near))
        shift = MeanShift.of_gathered(seen)
        classifier = Classifier.learn(rows, centre, squares / len(rows), grouping)
        traits = {name: (float(values.mean()), float(values.std())) for name, values in reference.traits.items()}
        return cls(space, fourier, shift, classifier, traits)

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Test the window; on an alarm name the traits that moved and the rows that show it most."""
        if window.whole is None and not self.space.reads(window):
            return not_judged(NAME, window, "the window has no embeddings or inputs"), state
        why = too_few(self.shift, window)
        if why is not None:
            return not_judged(NAME, window, why), state
        chosen = _chosen(window)
        codes = None if window.codes is None else window.codes[chosen]
        if window.whole is None:
            tests = self._tests(window, chosen)
        else:
            thinned = window.whole.measures[NAME].thinned
            tests = (
                _Test(self.shift, self._features, thinned[NAME].kept),
                _Test(self.classifier.shift, self._coordinates, thinned[CLASSIFIER].kept),
            )
        results = [check(test.shift, test.sketch, codes, look, SHARE * look.alpha) for test in tests]
        best = int(np.argmax([result.evidence for result in results]))
        result, test = results[best], tests[best]
        more, wanted = more_rows(test.shift, result, SHARE * look.alpha, MOST_ROWS)
        what = "the inputs look different from the reference" if result.alarm else "the inputs look as before"
        signal = Signal(
            detector=NAME,
            evidence=result.evidence,
            alarm=result.alarm,
            alpha=look.alpha,
            n=window.rows,
            message=f"{what}: {strength(result.evidence)}{more}",
            moved=self._moved(window) if result.alarm else (),
            example_ids=self._examples(test, chosen, window) if result.alarm else (),
            figures={**figures(result), **_by_test(results), **wanted},
        )
        return signal, state

    def measure(self, window: WindowData, before: Measures | None = None) -> Measures:
        """The thinned sketch of the inputs, and the moments of the traits."""
        if not self.space.reads(window):
            raise BackstayError("the window has no embeddings or inputs", fix="log them with every prediction")
        hashes = hash_ids(window.ids)
        parts = {}
        for name, (key, width, features) in self._maps.items():
            sketch = ThinnedSketch.empty(key, width, MOST_WINDOW_ROWS) if before is None else before.thinned[name]
            parts[name] = sketch.add(hashes, partial(features, window))
        traits = {name: Moments.of(window.traits[name]) for name in self.traits if name in window.traits}
        if before is not None:
            traits = {name: before.moments[name].merge(part) for name, part in traits.items()}
        return Measures(thinned=parts, moments=traits)

    @property
    def _maps(self) -> dict[str, tuple[str, int, Features]]:
        """Key, width and map of the features of each test."""
        return {
            NAME: (map_key(NAME, self.fourier), self.fourier.features_out, self._features),
            CLASSIFIER: (map_key(CLASSIFIER, self.classifier.map), self.classifier.map.width, self._coordinates),
        }

    def _features(self, window: WindowData, rows: AnyArray | slice) -> RealArray:
        return self.fourier.features(self._rows(window, rows))

    def _coordinates(self, window: WindowData, rows: AnyArray | slice) -> RealArray:
        return self.classifier.map.features(self._rows(window, rows))

    def _both(self, window: WindowData, rows: AnyArray | slice) -> Iterator[tuple[RealArray, RealArray]]:
        """The features of both tests, some rows at a time; the maps of a reference that is learnt today share their
        centre, those of older ones have none."""
        if self.fourier.centre is None:
            yield self._features(window, rows), self._coordinates(window, rows)
            return
        for near in centred_blocks(self._rows(window, rows), self.classifier.map.centre):
            yield self.fourier.of_centred(near), self.classifier.map.of_centred(near)

    def _rows(self, window: WindowData, rows: AnyArray | slice) -> RealArray:
        found = self.space.given(window, rows)
        if found is None:
            raise BackstayError("the window has no embeddings or inputs", fix="log them with every prediction")
        return found

    def _tests(self, window: WindowData, chosen: AnyArray) -> tuple[_Test, ...]:
        """Both tests with the sums of the chosen rows, which are read once."""
        sketches = {name: MeanSketch.empty(key, width) for name, (key, width, _) in self._maps.items()}
        for part in slices(len(chosen)):
            # A slice of the rows is no copy of them.
            rows = part if len(chosen) == len(window) else chosen[part]
            for both in self._both(window, rows):
                for name, found in zip((NAME, CLASSIFIER), both, strict=True):
                    sketches[name] = sketches[name].merge(MeanSketch.of(sketches[name].key, found))
        return (
            _Test(self.shift, self._features, sketches[NAME]),
            _Test(self.classifier.shift, self._coordinates, sketches[CLASSIFIER]),
        )

    def _examples(self, test: _Test, chosen: AnyArray, window: WindowData) -> tuple[str, ...]:
        """Of the rows at hand that were looked at, those that show the change."""
        if not self.space.reads(window):
            return ()
        mean = test.sketch.mean
        return witnesses(test.shift, mean, lambda rows: test.features(window, chosen[rows]), window, chosen)

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
            "classifier": self.classifier.to_json(),
            "traits": {name: list(pair) for name, pair in self.traits.items()},
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> EmbeddingDetector:
        return cls(
            InputSpace.from_json(state["space"]),
            FourierMap.from_json(state["fourier"]),
            MeanShift.from_json(state["shift"]),
            Classifier.from_json(state["classifier"]),
            {name: (float(mean), float(spread)) for name, (mean, spread) in state["traits"].items()},
        )


def _by_test(results: list[ShiftResult]) -> Json:
    """What each test made of the window, beside the figures of the stronger one."""
    return {f"evidence_{name}": result.evidence for name, result in zip(("kernel", CLASSIFIER), results, strict=True)}


def _chosen(window: WindowData) -> AnyArray:
    """Row numbers that are looked at: all of an ordinary window; the same ones that a thinned sketch would read."""
    if len(window) <= MOST_WINDOW_ROWS:
        return np.arange(len(window))
    hashes = hash_ids(window.ids)
    return np.flatnonzero(levels(hashes) >= thinned_level(hashes, MOST_WINDOW_ROWS))
