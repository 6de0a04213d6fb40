"""How detectors that bet on labels keep within their budget: steps are rationed, and an alarm stands until it is over.

`labels_per_year` and one month in advance are the steps of the first year; when more outcomes than that come,
consecutive ones are bet on as block means. What is spent is steps / A, told with each look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from backstay.maths.arrays import FloatArray
from backstay.maths.detector import ErrorDetector
from backstay.monitor.detectors import Look
from backstay.monitor.traffic import LabelledRow

ADVANCE_YEARS = 1.0 / 12.0
FEWEST_STEPS_A_YEAR = 120.0
REMEMBERED = 100
RECOVERED_AFTER = 30


def threshold(look: Look, streams: int = 1) -> float:
    """A: the steps that a first year may take over so many streams, over the false alarms that it may raise."""
    return max(streams * _steps_a_year(look) * (1.0 + ADVANCE_YEARS) / look.per_year, 1.0)


def allowed(look: Look, used: int) -> int:
    """Steps of one stream that may be taken now; always one."""
    return max(int(_steps_a_year(look) * (look.years + ADVANCE_YEARS)) - used, 1)


def _steps_a_year(look: Look) -> float:
    return max(look.labels_per_year, FEWEST_STEPS_A_YEAR)


def arrival(row: LabelledRow) -> tuple[object, object, str]:
    """What labels are ordered by."""
    return (row.arrived_at, row.predicted_at, row.label.prediction_id)


def restored(state: Mapping[str, Any] | None, m0: float, limit: float) -> ErrorDetector:
    """The bet so far; one against another null says nothing of this one, so it begins again."""
    if state is None:
        return ErrorDetector.start(m0, limit)
    detector = ErrorDetector.from_json(state)
    if abs(detector.m0 - m0) > 1e-12:
        return replace(ErrorDetector.start(m0, limit), steps=detector.steps, rows=detector.rows)
    return replace(detector, threshold=limit)


def block_means(outcomes: FloatArray, steps: int) -> FloatArray:
    """Means of consecutive, nearly equal blocks, at most `steps` of them: [<= steps]."""
    if len(outcomes) <= steps:
        return outcomes
    return np.asarray([block.mean() for block in np.array_split(outcomes, steps)])


def standing(before: list[float] | None, alarmed: bool, outcomes: FloatArray, m0: float) -> list[float] | None:
    """Errors since the alarm while it stands, None without one. It falls when 30 outcomes or more are within bounds."""
    if alarmed:
        return []
    if before is None:
        return None
    since = [*before, *outcomes.tolist()][-REMEMBERED:]
    return None if len(since) >= RECOVERED_AFTER and float(np.mean(since)) <= m0 else since
