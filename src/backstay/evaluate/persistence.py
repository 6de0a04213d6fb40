"""What was known last: the control that a model of things that change slowly has to beat."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from backstay.maths.arrays import IntArray

NONE_BEFORE = -1
_Truth = TypeVar("_Truth", np.int64, np.float64)


def newest_before(
    times: npt.NDArray[np.int64],
    asked: npt.NDArray[np.int64],
    groups: IntArray | None = None,
    asked_groups: IntArray | None = None,
) -> IntArray:
    """The place of the newest row strictly before each moment [m]; -1 where there is none.

    With groups, the newest earlier row of the same group, and of all rows where the group has none. Of rows at one
    moment the last counts.

    Args:
        times: of the known rows [n]. asked: moments [m].
        groups: codes of the known rows [n]; -1 for a row of no group. asked_groups: of the moments [m].

    >>> newest_before(np.array([10, 20, 30]), np.array([10, 25, 99])).tolist()
    [-1, 1, 2]
    >>> newest_before(np.array([10, 20]), np.array([25, 25]), np.array([0, 1]), np.array([0, 2])).tolist()
    [0, 1]
    """
    order = np.argsort(times, kind="stable")
    found = _places(order, np.searchsorted(times[order], asked, side="left") - 1)
    if groups is None or asked_groups is None or not len(times):
        return found
    # One number that sorts by group first and by time within it.
    moments = np.unique(np.concatenate([times, asked]))
    own = groups * len(moments) + np.searchsorted(moments, times)
    wanted = asked_groups * len(moments) + np.searchsorted(moments, asked)
    order = np.argsort(own, kind="stable")
    inside = _places(order, np.searchsorted(own[order], wanted, side="left") - 1)
    same = (inside >= 0) & (groups[inside] == asked_groups) & (asked_groups >= 0)
    return np.where(same, inside, found)


def last_known(known: npt.NDArray[_Truth], places: IntArray, usual: npt.NDArray[_Truth]) -> npt.NDArray[_Truth]:
    """What is known of the row at each place [m], and `usual` [m] where there is none."""
    if not len(known):
        return usual
    return np.asarray(np.where(places >= 0, known[places], usual), dtype=known.dtype)


def _places(order: IntArray, ranks: IntArray) -> IntArray:
    if not len(order):
        return np.full(len(ranks), NONE_BEFORE, dtype=np.int64)
    return np.where(ranks >= 0, order[np.maximum(ranks, 0)], NONE_BEFORE)
