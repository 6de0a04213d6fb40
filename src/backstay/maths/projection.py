"""The directions in which rows spread most: principal components, for a picture or for less work in many dimensions."""

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


# Directions that are tried beyond those wanted, and rows that they are learnt from.
SPARE = 8
MOST_ROWS = 2000


def principal_axes(rows: RealArray, most: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Centre [d] and orthonormal directions [m, d] in which rows [n, d] spread most, m at most `most`.

    All directions as they are where d is at most `most`. Otherwise by random products and power steps, of at most
    2,000 rows (Halko, Martinsson & Tropp 2011): nearly the principal components, at the price of a few products.

    >>> rows = np.random.default_rng(0).normal(size=(100, 30)) * np.r_[9.0, np.ones(29)]
    >>> axes = principal_axes(rows, 4, np.random.default_rng(1))[1]
    >>> axes.shape, bool(abs(axes[0, 0]) > 0.99)
    ((4, 30), True)
    """
    centre = np.asarray(rows.mean(axis=0, dtype=np.float64))
    if rows.shape[1] <= most:
        return centre, np.eye(rows.shape[1])
    some = rows if len(rows) <= MOST_ROWS else rows[np.sort(rng.choice(len(rows), MOST_ROWS, replace=False))]
    away = np.asarray(some - centre, dtype=np.float64)
    wide = min(most + SPARE, *away.shape)
    tried = away.T @ (away @ rng.standard_normal((away.shape[1], wide)))
    for _ in range(2):
        directions, _ = np.linalg.qr(tried)
        tried = away.T @ (away @ directions)
    directions, _ = np.linalg.qr(tried)
    _, _, turned = np.linalg.svd(away @ directions, full_matrices=False)
    return centre, np.asarray((directions @ turned[: min(most, wide)].T).T)
