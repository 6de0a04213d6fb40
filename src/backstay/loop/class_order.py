"""Scores whose classes nobody named: whether the order that was taken for theirs can be the right one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy.optimize import linear_sum_assignment

from backstay.bundle.model import Model
from backstay.kernel.errors import BackstayError
from backstay.loop.examples import texts
from backstay.maths.arrays import IntArray

MOST_ROWS = 2_000
LEAST_ROWS = 30
SURELY = 3.0
"""Standard errors that it must be behind the commonest class."""
CLEARLY = 0.5
"""Share of the way from the commonest class to no error that the other order must go: a poor model is no such case."""


def refuse_turned_round(model: Model, table: pa.Table, target: str, classes: tuple[str, ...]) -> None:
    """Raise where the scores are surely worse than the commonest class, and in another order clearly better.

    Args:
        table: rows with true labels, evenly thinned to 2,000. classes: in the order that was taken for the scores'.
    """
    count = min(table.num_rows, MOST_ROWS)
    rows = table.take(pa.array(np.linspace(0, table.num_rows - 1, count).astype(np.int64)))
    scores = model.predict(rows).scores
    places = {name: i for i, name in enumerate(classes)}
    truth = np.array([places.get(str(t), -1) for t in texts(rows, target)], dtype=np.int64)
    if scores is None or scores.shape[1] != len(classes) or (truth >= 0).sum() < LEAST_ROWS:
        return
    said, truth = scores.argmax(axis=1)[truth >= 0], truth[truth >= 0]
    right = float(np.mean(said == truth))
    better, order = _best(said, truth, len(classes))
    commonest = float(np.bincount(truth).max() / len(truth))
    margin = SURELY * float(np.sqrt(commonest * (1.0 - commonest) / len(truth)))
    if right < commonest - margin and better > commonest + CLEARLY * (1.0 - commonest):
        raise BackstayError(
            f"the model does not name its classes: with its scores taken as {', '.join(classes[:12])} it is right in "
            f"{right:.1%} of {len(truth)} rows, and as {', '.join(classes[i] for i in order[:12])} in {better:.1%}",
            fix="say the classes in the order of its scores: `adopt --classes a,b`, classes=[...] in Python",
        )


def _best(said: IntArray, truth: IntArray, classes: int) -> tuple[float, list[int]]:
    """The largest share of right answers that any order of the classes gives, and that order."""
    table = np.zeros((classes, classes))
    np.add.at(table, (said, truth), 1.0)
    columns, names = linear_sum_assignment(-table)
    return float(table[columns, names].sum() / len(truth)), names.tolist()
