"""Which labels speak for now, and which unlabelled rows stand beside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from backstay.maths.arrays import AnyArray, IntArray
from backstay.monitor.memory import ChancePool, LabelPoint, Memory
from backstay.monitor.windows import stamp

# Labels that make an estimate; with fewer in the newest window, older windows are drawn on.
ENOUGH = 30


def newest_labels(memory: Memory) -> tuple[tuple[LabelPoint, ...], tuple[ChancePool, ...]]:
    """The labels of the newest windows that hold enough of them, and these windows; the oldest kept otherwise."""
    points, used = memory.labels, 0
    for used in range(1, len(memory.pools) + 1):
        points = tuple(point for point in memory.labels if point.at >= memory.pools[-used].start)
        if len(points) >= ENOUGH:
            return points, memory.pools[-used:]
    return memory.labels, memory.pools[-used:]


def in_proportion(sizes: Sequence[int], ends: Sequence[datetime], points: Sequence[LabelPoint]) -> list[IntArray]:
    """Which rows of each window's sample to take, so that these and the labels describe the same traffic.

    Args:
        sizes: rows of each sample, one or more. ends: of the windows, oldest first.

    As many of each window as its share of the labels says: places in each sample, evenly spread, [k] a window.
    """
    if not sizes:
        return []
    edges = np.asarray([stamp(end) for end in ends])
    where = np.searchsorted(edges, np.asarray([stamp(point.at) for point in points]), side="right")
    counts = np.bincount(np.minimum(where, len(sizes) - 1), minlength=len(sizes)).astype(np.float64)
    share = counts / counts.sum()
    total = min(size / part for size, part in zip(sizes, share, strict=True) if part > 0)
    return [
        np.linspace(0, size - 1, max(round(total * part), 1)).astype(np.int64) if part > 0 else np.empty(0, np.int64)
        for size, part in zip(sizes, share, strict=True)
    ]


def groups_of(points: Sequence[LabelPoint]) -> AnyArray | None:
    """What labelled rows share [n]; None where none of them belongs to a group."""
    if all(point.group is None for point in points):
        return None
    return np.asarray([point.group if point.group is not None else f"\x00{i}" for i, point in enumerate(points)])
