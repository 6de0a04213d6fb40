"""What learning a reference needs of its rows' features, gathered some rows at a time: features of all are never kept.

Mean and covariance are summed in double precision over blocks, less the mean of the first block, so that no digits are
lost to a large mean. Higher moments are taken of some rows, which are kept (`spectrum.moment_places`).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.blas import dsyrk, ssyrk

from backstay.maths.arrays import FloatArray, RealArray
from backstay.maths.clusters import Clusters
from backstay.maths.spectrum import moment_places

# Rows whose products are summed in single precision, where they have it, before they are added to the others.
TOGETHER = 4096


class Gathered:
    """Mean, covariance and some rows of features that are added in the order of the reference's rows.

    >>> from backstay.maths.clusters import clusters
    >>> seen = Gathered(2, clusters(None, 3))
    >>> seen.add(np.array([[0.0, 1.0], [2.0, 1.0]]))
    >>> seen.add(np.array([[4.0, 4.0]]))
    >>> seen.mean.tolist(), seen.covariance.tolist()
    ([2.0, 2.0], [[4.0, 3.0], [3.0, 3.0]])
    """

    def __init__(self, features: int, grouping: Clusters) -> None:
        self.grouping = grouping
        self.n = 0
        self._places = moment_places(grouping, features)
        self._total = np.zeros(features)
        self._products = np.zeros((features, features))
        self._first: RealArray | None = None
        self._rows: RealArray | None = None
        self._recent: RealArray | None = None
        self._recent_rows = 0

    def add(self, block: RealArray) -> None:
        """Features [m, d] of the next rows; they are written over."""
        if self._first is None or self._rows is None:
            self._first = block.mean(axis=0)
            self._rows = np.empty((len(self._places), block.shape[1]), dtype=block.dtype)
        low, high = np.searchsorted(self._places, [self.n, self.n + len(block)])
        self._rows[low:high] = block[self._places[low:high] - self.n]
        np.subtract(block, self._first, out=block)
        # Numbers around nought, and few: their sum keeps its digits in the precision that they have.
        self._total += np.ones(len(block), dtype=block.dtype) @ block
        self._sum_products(block)
        self.n += len(block)

    def _sum_products(self, block: RealArray) -> None:
        """Sums of products of some thousand rows in their own precision, by the half that is enough (`syrk`)."""
        if self._recent is None or self._recent_rows + len(block) > TOGETHER:
            self._flush()
            self._recent = np.zeros((block.shape[1],) * 2, dtype=block.dtype, order="F")
        add = ssyrk if block.dtype == np.float32 else dsyrk
        self._recent = add(1.0, block.T, beta=1.0, c=self._recent, overwrite_c=1)
        self._recent_rows += len(block)

    def _flush(self) -> None:
        if self._recent is not None:
            self._products += self._recent
        self._recent, self._recent_rows = None, 0

    @property
    def mean(self) -> FloatArray:
        return np.asarray(self._total / self.n + (0.0 if self._first is None else self._first))

    @property
    def covariance(self) -> FloatArray:
        """[d, d], with n - 1 below."""
        self._flush()
        away = self._total / self.n
        found = np.multiply.outer(-self.n * away, away)
        found += self._products
        found /= self.n - 1
        # Of the products only the upper half was made.
        for row in range(1, len(found)):
            found[row, :row] = found[:row, row]
        return np.asarray(found)

    @property
    def rows(self) -> RealArray:
        """Those rows of which higher moments are taken."""
        return np.empty((0, len(self._total))) if self._rows is None else self._rows
