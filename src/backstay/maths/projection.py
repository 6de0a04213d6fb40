"""The plane in which rows spread most: principal components, for a picture of a space of many dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, RealArray, matrix


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """`centre` [d], two orthonormal `axes` [2, d], and the share of the variance along each, 0 to 1."""

    centre: FloatArray
    axes: FloatArray
    shares: tuple[float, float]

    def place(self, rows: RealArray) -> FloatArray:
        """Where rows [n, d] lie in the plane [n, 2]."""
        return np.asarray((matrix(rows, "rows") - self.centre) @ self.axes.T, dtype=np.float64)


def principal_plane(rows: RealArray) -> Plane:
    """The first two principal components (Pearson 1901; Hotelling 1933).

    Each axis is turned so that its largest weight is positive: the same rows give the same picture.

    >>> plane = principal_plane(np.array([[0.0, 0, 0], [2, 0, 0], [0, 1, 0], [2, 1, 0]]))
    >>> [round(share, 2) for share in plane.shares]
    [0.8, 0.2]
    """
    given = matrix(rows, "rows")
    if len(given) < 3:
        raise BackstayError(f"a plane through {len(given)} rows", fix="give three rows or more")
    centre = given.mean(axis=0)
    away = given - centre
    total = float(np.square(away).sum())
    _, lengths, directions = np.linalg.svd(away, full_matrices=False)
    axes = np.zeros((2, given.shape[1]))
    kept = min(2, len(lengths))
    axes[:kept] = directions[:kept]
    for axis in axes[:kept]:
        axis *= np.sign(axis[np.argmax(np.abs(axis))]) or 1.0
    shares = np.zeros(2)
    if total > 0:
        shares[:kept] = np.square(lengths[:kept]) / total
    return Plane(centre, axes, (float(shares[0]), float(shares[1])))
