"""Random Fourier features of a Gaussian kernel, and the mergeable sketch of their mean.

phi(x) = sqrt(2/D) [cos Wx, sin Wx], W ~ N(0, 1/bandwidth^2), D = 256 (128 frequencies): |phi(x)| = 1 and the
distance of two means of phi is the kernel's maximum mean discrepancy (Rahimi & Recht 2007). It showed the
power of the full kernel test at a twentieth of its memory (docs/statistics/drift.md). A sketch compares
only with sketches of the same
map, so W is made from raw bits of PCG64 (a stream that NumPy promises never to change) and not from its normal
generator (which it may).

A map with a centre (version 2) computes in single precision, and of rows less that centre: the distance of two means
is the same wherever the rows lie, and half the time is saved. One without (version 1) computes in double precision,
for references and sketches that were made so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import ndtri

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, RealArray, SingleArray, features_of, matrix
from backstay.maths.centring import BLOCK, centred

VERSIONS = (1, 2)


@dataclass(frozen=True, slots=True)
class FourierMap:
    """A seeded map from rows [n, dimension_in] to features [n, features], each of length 1.

    >>> map_ = FourierMap(seed=7, dimension_in=3, bandwidth=2.0)
    >>> phi = map_.features(np.eye(3))
    >>> phi.shape, bool(np.allclose((phi**2).sum(axis=1), 1.0))
    ((3, 256), True)
    """

    seed: int
    dimension_in: int
    features_out: int = 256
    bandwidth: float = 1.0
    centre: tuple[float, ...] | None = None
    _weights: RealArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.dimension_in < 1 or self.features_out < 2 or self.features_out % 2:
            raise BackstayError(
                f"a Fourier map from {self.dimension_in} to {self.features_out} numbers",
                fix="give at least one input and an even number of features",
            )
        if not (np.isfinite(self.bandwidth) and self.bandwidth > 0):
            raise BackstayError(f"the bandwidth is {self.bandwidth!r}", fix="give a number above 0")
        shape = (self.dimension_in, self.features_out // 2)
        bits = np.random.PCG64(self.seed).random_raw(shape[0] * shape[1])
        normal = ndtri(((np.asarray(bits, dtype=np.uint64) >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52)
        weights = normal.reshape(shape) / self.bandwidth
        if self.centre is not None and len(self.centre) != self.dimension_in:
            raise BackstayError(
                f"a Fourier map of {self.dimension_in} numbers with a centre of {len(self.centre)}",
                fix="give one number of the centre for each",
            )
        object.__setattr__(self, "_weights", weights if self.centre is None else weights.astype(np.float32))

    def features(self, x: RealArray) -> RealArray:
        """phi(x) of rows [n, dimension_in]: [n, features_out], every row of length 1."""
        if self.centre is not None:
            return self.of_centred(centred(features_of(x, "rows"), np.asarray(self.centre)))
        rows = matrix(x, "rows")
        if rows.shape[1] != self.dimension_in:
            raise BackstayError(
                f"rows of {rows.shape[1]} numbers for a map made for {self.dimension_in}",
                fix="give rows of the space that the reference was made in",
            )
        return self._phi(rows)

    def of_centred(self, rows: SingleArray) -> SingleArray:
        """The features of rows of which the map's centre was taken already."""
        return self._phi(rows)

    def _phi(self, rows: RealArray) -> RealArray:
        phi = np.empty((len(rows), self.features_out), dtype=rows.dtype)
        halves = self._weights / 2
        room = np.empty((3, min(BLOCK, len(rows)), self.features_out // 2), dtype=rows.dtype)
        for at in range(0, len(rows), BLOCK):
            part = rows[at : at + BLOCK]
            np.matmul(part, halves, out=room[0, : len(part)])
            self._fill(phi[at : at + BLOCK], *room[:, : len(part)])
        return phi

    def _fill(self, phi: RealArray, tangent: RealArray, square: RealArray, share: RealArray) -> None:
        """Cosine and sine from one tangent of half the angle, which NumPy computes ten times as fast as either.

        `tangent` holds half the angles; it and the other two are overwritten.
        """
        half = self.features_out // 2
        np.tan(tangent, out=tangent)
        np.multiply(tangent, tangent, out=square)
        np.add(square, 1.0, out=share)
        np.divide(float(np.sqrt(2.0 / self.features_out)), share, out=share)
        np.subtract(1.0, square, out=square)
        np.multiply(square, share, out=phi[:, :half])
        np.multiply(tangent, share, out=tangent)
        np.multiply(tangent, 2.0, out=phi[:, half:])

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSIONS[0] if self.centre is None else VERSIONS[1],
            "seed": self.seed,
            "dimension_in": self.dimension_in,
            "features": self.features_out,
            "bandwidth": self.bandwidth,
            **({} if self.centre is None else {"centre": list(self.centre)}),
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> FourierMap:
        if state.get("version") not in VERSIONS:
            raise BackstayError(
                f"a Fourier map of version {state.get('version')!r}",
                fix=f"this Backstay reads versions {VERSIONS[0]} and {VERSIONS[1]}: make the reference again",
            )
        return FourierMap(
            seed=int(state["seed"]),
            dimension_in=int(state["dimension_in"]),
            features_out=int(state["features"]),
            bandwidth=float(state["bandwidth"]),
            centre=tuple(float(one) for one in state["centre"]) if state["version"] == VERSIONS[1] else None,
        )


def median_bandwidth(x: RealArray, rng: np.random.Generator, rows: int = 1000) -> float:
    """Median distance between two of (at most `rows`) rows of x [n, d]; 1 when all rows are the same."""
    if len(x) > rows:
        x = x[rng.choice(len(x), rows, replace=False)]
    points = matrix(x, "rows")
    points = points - points.mean(axis=0)
    squares = np.sum(points**2, axis=1)
    distances = squares[:, None] + squares[None, :] - 2.0 * (points @ points.T)
    upper = distances[np.triu_indices(len(points), k=1)]
    median = float(np.sqrt(max(float(np.median(upper)), 0.0))) if len(upper) else 0.0
    return median if median > 1e-12 else 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """Row count and feature sum of a set of rows. Two sketches merge into the sketch of the union."""

    n: int
    total: FloatArray

    @staticmethod
    def of(phi: FloatArray) -> Sketch:
        """The sketch of features [n, D]."""
        rows = matrix(phi, "features")
        return Sketch(len(rows), rows.sum(axis=0))

    def merge(self, other: Sketch) -> Sketch:
        """The sketch of both sets of rows together, in any order."""
        if self.total.shape != other.total.shape:
            raise BackstayError(
                f"sketches of {self.total.size} and {other.total.size} features", fix="merge sketches of one map"
            )
        return Sketch(self.n + other.n, self.total + other.total)

    @property
    def mean(self) -> FloatArray:
        return self.total / self.n

    def to_json(self) -> dict[str, Any]:
        return {"n": self.n, "total": self.total.tolist()}

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Sketch:
        return Sketch(int(state["n"]), np.asarray(state["total"], dtype=np.float64))
