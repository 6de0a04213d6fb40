"""Space cut into cells by k-means, so that rows can be counted by where they lie.

    centres: k-means++ (Arthur & Vassilvitskii 2007), then Lloyd's steps, on rows that are counted nowhere else
    cell(x) = the nearest centre, in at most 64 principal directions of those same rows

Cost: products of all rows with a matrix [d, 64]. Trap: cells fitted to rows that are counted in them too (see
`cell_counts`). Trap: a kind of row that the fitted rows lack has no cell of its own; it shows as the growth of the
cells that lie nearest to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.cluster.vq import kmeans, vq

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, IntArray, RealArray, features_of
from backstay.maths.projection import principal_axes

DIRECTIONS = 64
# Lloyd's steps end when rows come nearer to their centre by less than this part of their spread.
SETTLED = 1e-4
BLOCK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """`centre` [d], `axes` [m, d] of at most 64 directions, and the cells' `centres` [K, m] in these."""

    centre: FloatArray
    axes: FloatArray
    centres: FloatArray

    @staticmethod
    def fit(rows: RealArray, most: int, least: int, seed: int) -> Cells:
        """At most `most` cells of rows [n, d], with `least` of these rows or more in each: a cell of fewer goes to its
        neighbours. One seed, one result.

        Raises BackstayError where no two cells are left: the rows are too few, or all alike.
        """
        given = features_of(rows, "rows")
        if most < 2 or len(given) < most:
            raise BackstayError(f"{most} cells of {len(given)} rows", fix="ask for two or more, and no more than rows")
        rng = np.random.Generator(np.random.PCG64(seed))
        centre, axes = principal_axes(given, DIRECTIONS, rng)
        near = _project(given, centre, axes)
        spread = float(np.sqrt(np.square(near).sum(axis=1).mean()))
        if spread == 0.0:
            raise BackstayError("all rows are alike", fix="cut rows into cells that differ in something")
        found, _ = kmeans(near / spread, _first(near / spread, most, rng), thresh=SETTLED)
        cells = Cells(centre, axes, np.asarray(found * spread, dtype=np.float64))
        while (sizes := cells.count(cells.of(near))).min() < least and len(cells) > 1:
            cells = Cells(centre, axes, np.delete(cells.centres, sizes.argmin(), axis=0))
        if len(cells) < 2:
            raise BackstayError("the rows fall into one cell", fix="cut more rows, or such as differ in something")
        return cells

    def __len__(self) -> int:
        return len(self.centres)

    def project(self, rows: RealArray) -> FloatArray:
        """Where rows [n, d] lie in the directions [n, m]."""
        return _project(rows, self.centre, self.axes)

    def of(self, projected: FloatArray) -> IntArray:
        """The cell of each projected row [n, m], 0 to K - 1."""
        return np.asarray(vq(projected, self.centres)[0], dtype=np.int64)

    def count(self, cells: IntArray) -> IntArray:
        """Rows in each cell [K]. Counts of parts add up to those of the whole."""
        return np.bincount(cells, minlength=len(self)).astype(np.int64)


def _project(rows: RealArray, centre: FloatArray, axes: FloatArray) -> FloatArray:
    parts = [(rows[at : at + BLOCK] - centre) @ axes.T for at in range(0, len(rows), BLOCK)]
    return np.concatenate(parts) if parts else np.empty((0, len(axes)))


def _first(rows: FloatArray, most: int, rng: np.random.Generator) -> FloatArray:
    """Rows to begin with, each drawn by its squared distance to the nearest before it; fewer where no more differ."""
    chosen = [int(rng.integers(len(rows)))]
    far = np.square(rows - rows[chosen[0]]).sum(axis=1)
    while len(chosen) < most and far.sum() > 0.0:
        chosen.append(int(rng.choice(len(rows), p=far / far.sum())))
        far = np.minimum(far, np.square(rows - rows[chosen[-1]]).sum(axis=1))
    return rows[chosen]
