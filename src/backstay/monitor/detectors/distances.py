"""How far rows lie from reference rows: the distance to the fifth-nearest of a gallery, on the reference's scales."""

from __future__ import annotations

from dataclasses import dataclass

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
MOST_GALLERY = 1000
# With fewer rows to say how far is far, no share of about a hundredth can be told from none.
FEWEST = 200


@dataclass(frozen=True, slots=True, eq=False)
class Apart:
    """Reference rows to compare with (`gallery` [n, d], projected, in single precision), and how far others lie [m]."""

    space: InputSpace
    gallery: AnyArray
    distances: FloatArray

    @staticmethod
    def of(reference: Reference, most: int) -> Apart | None:
        """At most 1,000 rows to compare with, and so many others: none that the model was trained on (where it made the
        inputs), and one of each group. None without inputs.

        Raises BackstayError for fewer than 400 such rows.
        """
        space = InputSpace.fit(reference)
        if space is None:
            return None
        if not space.parts:
            reference = reference.unlearned()
        rows = _one_a_group(reference, np.random.Generator(np.random.PCG64(SEED)))
        if len(rows) < 2 * FEWEST:
            raise BackstayError(
                f"{len(rows)} independent reference rows that the model was not trained on",
                fix=f"give at least {2 * FEWEST}: half to compare with, half to say how far is far",
            )
        known = rows[: min(len(rows) // 2, MOST_GALLERY)]
        others = rows[len(known) : len(known) + most]
        gallery = projected(space, reference, known).astype(np.float32)
        return Apart(space, gallery, distances_to(gallery, projected(space, reference, others)))


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


def _one_a_group(reference: Reference, rng: np.random.Generator) -> AnyArray:
    """Row numbers in random order, one of each group: independent, and no row has a twin among them."""
    order = rng.permutation(len(reference))
    codes = reference.codes
    if codes is None:
        return order
    _, first = np.unique(codes[order], return_index=True)
    return np.asarray(order[np.sort(first)])
