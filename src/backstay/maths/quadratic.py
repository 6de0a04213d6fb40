"""Tails of weighted sums of squares of normals: the law of every squared distance between two means.

Q = sum_k w_k (Z_k + d_k)^2 with dof_k squares of each weight; `offsets` holds w_k d_k^2. The tail is the
saddlepoint approximation (Kuonen 1999; Barndorff-Nielsen's form of Lugannani-Rice), whose relative error stays
bounded far into the tail, where simulation has nothing and moment matching drifts: below 5% for three
directions or more, and on the safe side (up to 15% too large) for one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from backstay.maths.arrays import FloatArray

# Numbers at a time: fresh memory for a whole table of them costs five times what is computed in it.
AT_A_TIME = 16_384


class Tail(NamedTuple):
    """P(Q > t) by row, its rate of fall -d log P / dt, and the saddlepoint, from which a search nearby may start."""

    probability: FloatArray
    slope: FloatArray
    saddle: FloatArray


def tail(
    weights: FloatArray,
    dof: FloatArray,
    offsets: FloatArray,
    at: FloatArray | float,
    saddle: FloatArray | None = None,
) -> Tail:
    """P(Q > at) for each row of `offsets` [rows, k]; `weights` > 0 and `dof` are [k], `at` a number or [rows].

    `saddle` [rows]: those found for the same weights and offsets at a threshold nearby.

    >>> one = np.ones(1)
    >>> bool(abs(tail(one, 4 * one, np.zeros((1, 1)), 14.86).probability[0] / 0.005 - 1) < 0.02)
    True
    """
    rows = offsets.shape[0]
    floor = 1e-6 * float(np.sum(dof * weights))  # below it P is 1 to many digits, and the search for s slow
    t = np.maximum(np.broadcast_to(np.asarray(at, dtype=np.float64), (rows,)), floor)
    start = np.zeros(rows) if saddle is None else saddle
    size = max(AT_A_TIME // len(weights), 1)
    parts = [slice(at_row, at_row + size) for at_row in range(0, rows, size)]
    found = [_tail(weights, dof, offsets[part], t[part], start[part]) for part in parts]
    return found[0] if len(found) == 1 else Tail(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def _tail(weights: FloatArray, dof: FloatArray, offsets: FloatArray, t: FloatArray, s: FloatArray) -> Tail:
    limit = 1.0 / (2.0 * float(weights.max()))
    for _ in range(60):
        first, second = _slopes(weights, dof, offsets, s)
        off = 1.0 - first / t
        if float(np.abs(off).max()) < 1e-7:
            break
        moved = s + off * first / second
        s = np.where(moved >= limit, (s + limit) / 2.0, moved)
    else:
        second = _slopes(weights, dof, offsets, s)[1]
    return _barndorff_nielsen(weights, dof, offsets, s, t, second)


def _slopes(weights: FloatArray, dof: FloatArray, offsets: FloatArray, s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """First and second derivative of the cumulant generating function at s: [rows] each."""
    u = np.multiply.outer(-2.0 * s, weights)
    u += 1.0
    np.divide(1.0, u, out=u)
    squared = u * u
    shifted = offsets * squared
    first = u @ (dof * weights) + shifted.sum(axis=1)
    shifted *= u
    second = 2.0 * (squared @ (dof * weights**2)) + 4.0 * (shifted @ weights)
    return first, second


def _barndorff_nielsen(
    weights: FloatArray, dof: FloatArray, offsets: FloatArray, s: FloatArray, t: FloatArray, second: FloatArray
) -> Tail:
    room = 1.0 - 2.0 * s[:, None] * weights
    cumulant = -0.5 * (np.log(room) @ dof) + s * (offsets / room).sum(axis=1)
    w = np.sign(s) * np.sqrt(np.maximum(2.0 * (s * t - cumulant), 0.0))
    v = s * np.sqrt(second)
    near = np.abs(w) < 1e-4
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(near, 0.0, w + np.log(v / w) / w)
    probability = ndtr(-z)
    if np.any(near):
        probability = np.where(near, _at_mean(weights, dof, offsets), probability)
    # At the saddlepoint the exponent is never above 0; where the search for it stopped short, it could overflow.
    density = np.exp(np.minimum(cumulant - s * t, 0.0)) / np.sqrt(2.0 * np.pi * second)
    return Tail(probability, density / np.maximum(probability, 1e-300), s)


def _at_mean(weights: FloatArray, dof: FloatArray, offsets: FloatArray) -> FloatArray:
    """P(Q > mean of Q), where the saddlepoint formula is 0/0."""
    second = 2.0 * np.sum(dof * weights**2) + 4.0 * (offsets @ weights)
    third = 8.0 * np.sum(dof * weights**3) + 24.0 * (offsets @ weights**2)
    return np.asarray(0.5 - third / (6.0 * np.sqrt(2.0 * np.pi) * second**1.5))


def quantile(weights: FloatArray, dof: FloatArray, alpha: float) -> float:
    """The t with P(Q > t) = alpha for central Q."""
    none = np.zeros((1, len(weights)))
    mean, spread = float(np.sum(dof * weights)), float(np.sqrt(2 * np.sum(dof * weights**2)))
    t, saddle = mean + spread * max(1.0, -float(np.log(alpha)) / 1.5), None
    for _ in range(50):
        probability, slope, saddle = tail(weights, dof, none, t, saddle)
        move = float((np.log(probability[0]) - np.log(alpha)) / max(float(slope[0]), 1e-3 / spread))
        t = max(t + float(np.clip(move, -2 * spread, 2 * spread)), mean / 50.0)
        if abs(move) < 1e-6 * t:
            break
    return t
