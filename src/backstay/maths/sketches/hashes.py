"""Hashes of row ids: the same on every machine and in every process, so that samples by hash can merge."""

from __future__ import annotations

import zlib
from typing import cast

import numpy as np
import numpy.typing as npt

from backstay.maths.arrays import AnyArray

Hashes = npt.NDArray[np.uint64]


def hash_ids(ids: AnyArray, seed: int = 0) -> Hashes:
    """64 mixed bits for each id [n]: integers as they are, anything else by its text.

    Good for drawing samples, not against somebody who chooses ids. Text is first reduced to 32 bits (CRC), so two of
    a hundred thousand ids share a hash; a sample by hash takes both or neither, which biases nothing.

    >>> bool((hash_ids(np.array(["a", "b"], dtype=object)) == hash_ids(np.array(["a", "b"]))).all())
    True
    """
    values = np.asarray(ids)
    if values.dtype.kind in "iu":
        raw = values.astype(np.int64, copy=False).view(np.uint64)
    else:
        raw = np.fromiter((zlib.crc32(str(value).encode()) for value in values.tolist()), np.uint64, len(values))
    return mix(raw + np.uint64((seed * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF))


def mix(values: Hashes) -> Hashes:
    """Finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit of the input moves every bit of the output."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return cast(Hashes, z ^ (z >> np.uint64(31)))


def levels(hashes: Hashes) -> npt.NDArray[np.int64]:
    """How many zero bits a hash begins with, at most 48: a row is of level l or higher with chance 2^-l.

    >>> levels(np.array([2**63, 2**62, 1], dtype=np.uint64)).tolist()
    [0, 1, 48]
    """
    head = (hashes >> np.uint64(16)).astype(np.float64)
    exponent = np.frexp(head)[1]
    return np.asarray(48 - exponent, dtype=np.int64)
