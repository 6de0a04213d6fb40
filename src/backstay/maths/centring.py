"""Rows less a fixed centre, in single precision: what costly features of many rows are computed from.

Embeddings are stored with seven digits at most, and products in single precision take half the time. Less the centre
first: numbers that lie far from nought would keep none of the digits in which they differ.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, RealArray, SingleArray, features_of

# Farther away than this nothing is told apart; sums of products of such numbers are still finite.
FARTHEST = 1e15
# Rows at a time: what is made of them stays in the processor's cache.
BLOCK = 512
FEW = 64


def centred(rows: RealArray, centre: FloatArray) -> SingleArray:
    """`rows` [n, d] less `centre` [d], in an array of its own.

    >>> centred(np.array([[1e8 + 1.0, 2.0]]), np.array([1e8, 2.0])).tolist()
    [[1.0, 0.0]]
    """
    found = np.empty(rows.shape, dtype=np.float32)
    for at, block in zip(range(0, len(rows), BLOCK), centred_blocks(rows, centre), strict=True):
        found[at : at + BLOCK] = block
    return found


def centred_blocks(rows: RealArray, centre: FloatArray) -> Iterator[SingleArray]:
    """The same, 512 rows at a time: each block is written over by the next, and may be written to.

    Raises BackstayError for rows of another width or with numbers that are not finite.
    """
    if rows.shape[1] != len(centre):
        raise BackstayError(
            f"rows of {rows.shape[1]} numbers against a reference of {len(centre)}",
            fix="give rows of the space that the reference was made in",
        )
    room = np.empty((min(BLOCK, len(rows)), len(centre)), dtype=np.float32)
    wide = np.empty((min(FEW, len(rows)), len(centre)), dtype=rows.dtype)
    subtrahend = centre.astype(rows.dtype)
    for at in range(0, len(rows), BLOCK):
        part = rows[at : at + BLOCK]
        block = room[: len(part)]
        with np.errstate(over="ignore", invalid="ignore"):
            for low in range(0, len(part), FEW):
                few = part[low : low + FEW]
                away = np.subtract(few, subtrahend, out=wide[: len(few)])
                np.copyto(block[low : low + FEW], away, casting="same_kind")
            flat = block.reshape(-1)
            near = float(np.dot(flat, flat)) < FARTHEST**2
        if not near:
            features_of(part, "rows")
            np.clip(block, -FARTHEST, FARTHEST, out=block)
        yield block


def mean_squares(rows: RealArray, centre: FloatArray) -> FloatArray:
    """Mean squared distance from the centre [d] of rows [n, d]."""
    total = np.zeros(len(centre))
    for block in centred_blocks(rows, centre):
        total += np.einsum("ij,ij->j", block, block)
    return np.asarray(total / len(rows))
