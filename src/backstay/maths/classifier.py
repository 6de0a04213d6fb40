"""Can a classifier tell these rows from the reference? A linear test in closed form, for one fixed reference.

The classifier is the ridge discriminant w = (S + ridge)^-1 (window mean - reference mean), S the reference's covariance
of standardised and clipped coordinates. Trained on one part of the window and judged on another, its gain is
w(part 1) . (mean of part 2 - reference mean). Averaged over *all* splits, so that no row is judged by a classifier that
has seen it and none is wasted, this is the squared distance of the means in whitened coordinates less a constant: the
statistic of `meanshift`, whose threshold counts the error of the reference and of its covariance. So cross-fitting
costs no rows, no draws and no labels here, and a window is still a sum of its rows that merges.

Sees small shifts spread over many coordinates, or along directions that hardly vary, which a kernel test drowns.
Blind to changes that leave the mean of every coordinate as it was (spread, a split into two halves): the kernel test
and `geometry` see those. Source: Lopez-Paz & Oquab 2017 (classifier two-sample tests); Kim, Ramdas, Singh & Wasserman
2021 (the linear classifier's test is Hotelling's in disguise). Trap: the z-test on an averaged cross-fitted AUC is not
of its level (15% and 27% where 5% were asked), and none of these count the error of one kept reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import ndtri

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, FloatArray, RealArray, SingleArray, features_of
from backstay.maths.centring import centred, centred_blocks, mean_squares
from backstay.maths.clusters import Clusters, clusters
from backstay.maths.gathered import Gathered
from backstay.maths.meanshift import MeanShift

# Version 1 computes in double precision, as all did once; 2 in single precision, of rows less the centre.
VERSIONS = (1, 2)
SEED = 20_261_121
CLIP = 4.0
# Of the mean variance, which is 1: directions that vary less are not trusted to their last digit.
RIDGE = 0.1
MOST_DIRECTIONS = 512
# Independent reference rows to each direction; with fewer the covariance cannot be told from noise.
ROWS_A_DIRECTION = 4


@dataclass(frozen=True, slots=True, eq=False)
class StandardMap:
    """Rows [n, d] on the reference's scales, clipped at 4 of its standard deviations; mixed into `width` at random.

    `width` is below d where rows are too wide for the reference: then seeded random directions keep their share of any
    change. Without that the map is coordinate by coordinate. `single`: in single precision; version 1 was not.
    """

    centre: FloatArray
    scale: FloatArray
    width: int
    single: bool = True
    _directions: FloatArray | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_directions", _directions(len(self.centre), self.width))

    @staticmethod
    def of(centre: FloatArray, variances: FloatArray, independent: float) -> StandardMap:
        """The scales of a reference of this mean [d] and these variances [d], whose rows are worth so many independent
        ones; constant columns count for 0."""
        width = min(len(centre), MOST_DIRECTIONS, max(int(independent / ROWS_A_DIRECTION), 1))
        spread = np.sqrt(variances)
        return StandardMap(centre, np.where(spread > 1e-12, spread, np.inf), width)

    def features(self, rows: RealArray) -> RealArray:
        """[n, width]."""
        if self.single:
            return self.of_centred(centred(rows, self.centre))
        if rows.shape[1] != len(self.centre):
            raise BackstayError(
                f"rows of {rows.shape[1]} numbers against a reference of {len(self.centre)}",
                fix="give rows of the space that the reference was made in",
            )
        found = np.asarray(rows, dtype=np.float64) - self.centre
        found /= self.scale
        np.clip(found, -CLIP, CLIP, out=found)
        return found if self._directions is None else np.asarray(found @ self._directions)

    def of_centred(self, near: SingleArray) -> SingleArray:
        """The features of rows of which the centre was taken already; they are written over."""
        np.multiply(near, (1.0 / self.scale).astype(np.float32), out=near)
        np.clip(near, -CLIP, CLIP, out=near)
        return near if self._directions is None else near @ self._directions.astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """JSON types only; the scale of a constant column is null."""
        return {
            "version": VERSIONS[1] if self.single else VERSIONS[0],
            "centre": self.centre.tolist(),
            "scale": [None if np.isinf(one) else one for one in self.scale.tolist()],
            "width": self.width,
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> StandardMap:
        if state.get("version") not in VERSIONS:
            raise BackstayError(
                f"a classifier's map of version {state.get('version')!r}",
                fix=f"this Backstay reads versions {VERSIONS[0]} and {VERSIONS[1]}: make the reference again",
            )
        scale = [np.inf if one is None else float(one) for one in state["scale"]]
        centre = np.asarray(state["centre"], dtype=np.float64)
        return StandardMap(centre, np.asarray(scale), int(state["width"]), state["version"] == VERSIONS[1])


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """A fixed reference to be told from windows: the map of its rows, and the test of their mean.

    >>> rng = np.random.default_rng(3)
    >>> test = Classifier.fit(rng.normal(size=(2000, 40)))
    >>> test.shift.check(test.map.features(rng.normal(size=(500, 40))), 0.01).alarm
    False
    >>> test.shift.check(test.map.features(rng.normal(size=(500, 40)) + 0.15), 0.01).alarm
    True
    """

    map: StandardMap
    shift: MeanShift

    @staticmethod
    def fit(rows: RealArray, groups: AnyArray | None = None) -> Classifier:
        """From reference rows [n, d], n >= 50 in at least 20 groups. Raises BackstayError where they are too few."""
        known = features_of(rows, "reference rows")
        centre = np.asarray(known.mean(axis=0, dtype=np.float64))
        return Classifier.learn(known, centre, mean_squares(known, centre), clusters(groups, len(known)))

    @staticmethod
    def learn(rows: RealArray, centre: FloatArray, variances: FloatArray, grouping: Clusters) -> Classifier:
        """From reference rows [n, d] of which mean and variances [d] are known."""
        map_ = StandardMap.of(centre, variances, float(grouping.count))
        seen = Gathered(map_.width, grouping)
        for near in centred_blocks(rows, centre):
            seen.add(map_.of_centred(near))
        return Classifier(map_, MeanShift.of_gathered(seen, whiten=True, ridge=RIDGE))

    def to_json(self) -> dict[str, Any]:
        return {"map": self.map.to_json(), "shift": self.shift.to_json()}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Classifier:
        return Classifier(StandardMap.from_json(state["map"]), MeanShift.from_json(state["shift"]))


def _directions(dimension: int, width: int) -> FloatArray | None:
    """[dimension, width] orthonormal columns from raw bits of PCG64, which NumPy promises never to change."""
    if width >= dimension:
        return None
    bits = np.random.PCG64(SEED).random_raw(dimension * width)
    normal = ndtri(((np.asarray(bits, dtype=np.uint64) >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52)
    return np.ascontiguousarray(np.linalg.qr(normal.reshape(dimension, width))[0])
