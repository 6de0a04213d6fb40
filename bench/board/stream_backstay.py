"""Backstay's e-detector on the stream of errors: with the bound of a reference's error, and with the error known.

The knob is the threshold A, of which theory promises at most one false alarm in A items.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from worlds_stream import BEFORE, USUAL, changed, reference, summary, unchanged

from backstay.maths.betting import null_error
from backstay.maths.detector import ErrorDetector

PACKAGES = ("backstay", "numpy")
THRESHOLDS = tuple(float(round(a)) for a in np.geomspace(20_000.0, 200_000.0, 25))
DELTA = 0.05


def run(given: dict[str, Any]) -> dict[str, Any]:
    seed = given["seed"]
    before, quiet, moved = reference(seed), unchanged(seed), changed(seed)
    nulls = {
        "e-detector, reference of 20,000": null_error(float(before.sum()), float(len(before)), DELTA, 0.0),
        "e-detector, error before known": USUAL,
    }
    found: dict[str, Any] = {}
    for name, m0 in nulls.items():
        found[name] = {}
        for limit in THRESHOLDS:
            alarms = sum(len(ErrorDetector.start(m0, limit).update(stream)[1]) for stream in quiet)
            found[name][str(limit)] = summary(alarms, [_first(m0, limit, stream) for stream in moved])
    return {"found": found}


def _first(m0: float, limit: float, stream: Any) -> int | None:
    _, alarms = ErrorDetector.start(m0, limit).update(stream)
    return next((place for place in alarms if place >= BEFORE), None)
