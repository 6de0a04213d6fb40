"""How far rows lie from reference rows: the distance to the fifth-nearest of a gallery, on the reference's scales."""

from __future__ import annotations

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, FloatArray
from backstay.maths.neighbours import nearest
from backstay.monitor.inputs import InputSpace
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

NEIGHBOURS = 5
MOST_DIMENSIONS = 64
SEED = 20_261_122


def one_a_group(reference: Reference, rng: np.random.Generator) -> AnyArray:
    """Row numbers in random order, one of each group: independent, and no row has a twin among them."""
    order = rng.permutation(len(reference))
    codes = reference.codes
    if codes is None:
        return order
    _, first = np.unique(codes[order], return_index=True)
    return np.asarray(order[np.sort(first)])


def projected(space: InputSpace, source: Reference | WindowData, chosen: AnyArray) -> FloatArray:
    """The chosen rows, in at most 64 dimensions: the same random directions each time."""
    rows = space.rows(source, chosen)
    if rows is None:
        raise BackstayError("the rows have no embeddings or inputs", fix="log them with every prediction")
    if space.dimension <= MOST_DIMENSIONS:
        return rows
    rng = np.random.Generator(np.random.PCG64(SEED))
    directions = rng.standard_normal((space.dimension, MOST_DIMENSIONS)) / np.sqrt(MOST_DIMENSIONS)
    return np.asarray(rows @ directions)


def distances_to(gallery: AnyArray, rows: FloatArray) -> FloatArray:
    return np.asarray(nearest(gallery, rows, NEIGHBOURS)[1][:, -1])
