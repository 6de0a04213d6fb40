"""river on the scoreboard: an ADWIN for each number, fed row by row; any of them. What is fed is a stream, no window:
each run starts behind the reference, and an alarm of any row of the window counts for the window.

The knob is delta. A window's score is made of the least delta among a few at which it alarmed.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
from river import drift
from worlds import Table

PACKAGES = ("river", "numpy")
DELTAS = (0.5, 0.2, 0.1, 0.03, 0.01, 0.002, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-12)
DEFAULT = 0.002


def tables(reference: Table) -> Any:
    fitted = [[_fed(drift.ADWIN(delta=delta), column)[0] for column in reference.numbers.T] for delta in DELTAS]

    def alarms(place: int, window: Table) -> bool:
        pairs = zip(fitted[place], window.numbers.T, strict=True)
        return any(_fed(copy.deepcopy(detector), column)[1] for detector, column in pairs)

    def look(window: Table) -> dict[str, tuple[float, bool]]:
        usual = alarms(DELTAS.index(DEFAULT), window)
        # Smaller deltas alarm less: stop at the first that does not.
        strength = 0.0
        for place, delta in enumerate(DELTAS):
            if not alarms(place, window):
                break
            strength = -float(np.log10(delta))
        return {"ADWIN": (strength, usual)}

    return look


def _fed(detector: drift.ADWIN, values: Any) -> tuple[drift.ADWIN, bool]:
    found = False
    for value in values.tolist():
        detector.update(value)
        found = found or detector.drift_detected
    return detector, found


def columns_cost(reference: Path, window: Path) -> Any:
    _fed(drift.ADWIN(), np.arange(50.0))

    def look() -> bool:
        before, now = (np.load(path, allow_pickle=False) for path in (reference, window))
        found = [_fed(_fed(drift.ADWIN(), before[:, i])[0], now[:, i])[1] for i in range(before.shape[1])]
        return any(found)

    return look
