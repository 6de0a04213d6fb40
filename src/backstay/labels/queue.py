"""Drawing rows for review: uniformly, without repetition, with the chance of each on record."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from backstay.journal.rows import Rows
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import content_id, digest
from backstay.kernel.records import LabelRequest


def draw_requests(
    rows: Rows,
    wanted: int,
    *,
    purpose: str,
    rng: np.random.Generator,
    now: datetime,
    model: str,
    environment: str,
) -> list[LabelRequest]:
    """Ask for the labels of this many rows, each with chance wanted / rows.

    The id of a request follows from its row and purpose, so drawing the same again asks nobody twice.
    """
    if not 1 <= wanted <= len(rows):
        raise BackstayError(f"{wanted} rows were to be drawn of {len(rows)}", fix="draw at least one and at most all")
    places = np.sort(rng.choice(len(rows), size=wanted, replace=False))
    probability = wanted / len(rows)
    return [
        LabelRequest(
            id=content_id("request", digest([model, environment, str(rows.ids[i]), purpose])),
            prediction_id=str(rows.ids[i]),
            model=model,
            environment=environment,
            purpose=purpose,
            probability=probability,
            requested_at=now,
            group=None if rows.groups is None or rows.groups[i] is None else str(rows.groups[i]),
        )
        for i in places
    ]
