"""Drawing rows for review, without repetition and with the chance of each on record: uniformly, or by stratum."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt

from backstay.journal.rows import Rows
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import content_id, digest
from backstay.kernel.records import LabelRequest

WINDOW = "window"
"""The purpose of rows that are drawn by stratum, for the estimate of one window."""


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
    return [_request(rows, i, purpose, probability, now, model, environment) for i in places.tolist()]


def draw_by_stratum(
    rows: Rows,
    strata: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.int64],
    *,
    draw: str,
    rng: np.random.Generator,
    now: datetime,
    model: str,
    environment: str,
) -> list[LabelRequest]:
    """Ask for so many rows of each stratum, each of its rows with the same chance, which is logged with it.

    Args:
        strata: the stratum of each row [n]. wanted: rows of each stratum, at most all. draw: the window's name.
    """
    found: list[LabelRequest] = []
    for stratum, size in enumerate(wanted.tolist()):
        inside = np.flatnonzero(strata == stratum)
        if size > len(inside):
            raise BackstayError(f"{size} rows were to be drawn of {len(inside)}", fix="draw at most all of a stratum")
        for place in np.sort(rng.choice(inside, size=size, replace=False)).tolist() if size else ():
            chance = size / len(inside)
            found.append(_request(rows, place, WINDOW, chance, now, model, environment, draw=draw, stratum=stratum))
    return found


def _request(
    rows: Rows,
    place: int,
    purpose: str,
    probability: float,
    now: datetime,
    model: str,
    environment: str,
    *,
    draw: str | None = None,
    stratum: int | None = None,
) -> LabelRequest:
    row_id = str(rows.ids[place])
    return LabelRequest(
        id=content_id("request", digest([model, environment, row_id, purpose])),
        prediction_id=row_id,
        model=model,
        environment=environment,
        purpose=purpose,
        probability=probability,
        requested_at=now,
        group=None if rows.groups is None or rows.groups[place] is None else str(rows.groups[place]),
        draw=draw,
        stratum=stratum,
    )
