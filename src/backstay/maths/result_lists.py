"""What a list of search results looks like in numbers, for those who have to guess whether it holds what was sought."""

from __future__ import annotations

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, matrix

LEAST_RESULTS = 20


def result_list(scores: FloatArray) -> FloatArray:
    """Descriptions [n, 7] of result lists by their scores [n, >= 20], best first.

    Best score, its lead over the second and the tenth, mean and spread of the first ten, the fall from the tenth to
    the twentieth, spread of all.

    >>> result_list(np.linspace(1.0, 0.0, 21)[None, :]).round(2).tolist()
    [[1.0, 0.05, 0.45, 0.77, 0.14, 0.5, 0.3]]
    """
    table = matrix(scores, "the scores of results")
    if table.shape[1] < LEAST_RESULTS or np.any(np.diff(table, axis=1) > 0.0):
        raise BackstayError(
            f"result lists of {table.shape[1]} scores, or not in falling order",
            fix=f"log the scores of at least {LEAST_RESULTS} results, best first",
        )
    ten = table[:, :10]
    return np.column_stack(
        [
            table[:, 0],
            table[:, 0] - table[:, 1],
            table[:, 0] - table[:, 9],
            ten.mean(axis=1),
            ten.std(axis=1),
            table[:, 9] - table[:, 19],
            table.std(axis=1),
        ]
    )
