"""Rows that belong together: sums by group, cluster-robust variance, design effects.

Rows of one group are dependent (distortions of one scan, visits of one customer). A mean over n such
rows is worth fewer than n independent ones; this file says how many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backstay.maths.arrays import AnyArray, FloatArray, IntArray, same_length


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Group codes 0..count-1 by row, and the rows of each group."""

    codes: IntArray
    sizes: FloatArray

    @property
    def count(self) -> int:
        return len(self.sizes)

    @property
    def kish(self) -> float:
        """Mean size of the group that a random row lies in: sum of squared sizes over n, at least 1."""
        return float(np.sum(self.sizes**2) / np.sum(self.sizes))


def clusters(groups: AnyArray | None, rows: int) -> Clusters:
    """Codes of any array of group labels [rows]; None means that every row is its own group."""
    if groups is None:
        return Clusters(np.arange(rows, dtype=np.int64), np.ones(rows))
    labels = np.asarray(groups)
    same_length(labels, np.empty(rows), "groups and rows")
    _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return Clusters(codes.astype(np.int64).reshape(-1), sizes.astype(np.float64))


def group_sums(values: FloatArray, grouping: Clusters) -> FloatArray:
    """Sums of `values` [n] or [n, d] within each group: [groups] or [groups, d]."""
    if grouping.count == len(values):
        return values[np.argsort(grouping.codes, kind="stable")]
    if values.ndim == 1:
        return np.asarray(np.bincount(grouping.codes, weights=values, minlength=grouping.count), dtype=np.float64)
    order = np.argsort(grouping.codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(grouping.sizes)[:-1]]).astype(np.int64)
    return np.asarray(np.add.reduceat(values[order], starts, axis=0), dtype=np.float64)


def mean_variance(values: FloatArray, grouping: Clusters) -> float:
    """Cluster-robust (CR1) estimate of the variance of the mean of `values` [n]; 0 with a single group."""
    if grouping.count < 2:
        return 0.0
    sums = group_sums(values - values.mean(), grouping)
    correction = grouping.count / (grouping.count - 1)
    return float(correction * np.sum(sums**2) / len(values) ** 2)


def effective_size(values: FloatArray, grouping: Clusters) -> float:
    """Independent rows that would give the same variance of the mean, between 1 and n.

    With no variation in `values` nothing can be learnt of the dependence: then one row a group.
    """
    rows = len(values)
    if grouping.count == rows:
        return float(rows)
    spread = float(np.var(values))
    robust = mean_variance(values, grouping)
    if spread <= 0.0 or robust <= 0.0:
        return float(grouping.count)
    return float(np.clip(spread / robust, 1.0, rows))
