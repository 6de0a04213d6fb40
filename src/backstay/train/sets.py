"""What all that learns sets of labels asks of its rows, tells of its run, and calls its answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import BoolArray, FloatArray
from backstay.train.examples import Profile

LEAST_ROWS = 10


def refuse_few(there: BoolArray, tune_rows: int, classes: tuple[str, ...]) -> None:
    """Raise BackstayError for too few rows, no label at all, or a label that no row [n, labels] has."""
    if min(len(there), tune_rows) < LEAST_ROWS:
        raise BackstayError(
            f"{len(there)} rows to learn from and {tune_rows} to choose by, each needs {LEAST_ROWS} or more",
            fix="give more rows, or change the shares in data.split",
        )
    if not classes or len(set(classes)) != len(classes):
        raise BackstayError("the sets of the train part hold no label", fix="look at data.target, or give more rows")
    absent = [name for name, n in zip(classes, there.sum(axis=0), strict=True) if n == 0]
    if absent:
        raise BackstayError(
            f"no row of weight above 0 in the train part has the label {absent[0]!r}", fix="give rows with it a weight"
        )


def set_figures(
    scores: FloatArray, there: BoolArray, thresholds: FloatArray, classes: tuple[str, ...]
) -> dict[str, Any]:
    """F1 of the tuning rows, by which the cuts were chosen, and the cuts as the graph holds them."""
    said = scores >= thresholds
    return {
        "tune_micro_f1": float(2.0 * (said & there).sum() / max(int(said.sum()) + int(there.sum()), 1)),
        "thresholds": dict(zip(classes, (float(np.float32(t)) for t in thresholds), strict=True)),
    }


def members_name(profile: Profile) -> str:
    """The answer's name in the graph: another one where a column is called like it."""
    return "members" if "members" not in (*profile.numbers, *profile.categories) else "predicted_members"
