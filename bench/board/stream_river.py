"""river's ADWIN and Page-Hinkley on the stream of errors, which they have seen since the reference's first label.

The knobs are delta and threshold. Alarms while the error falls are not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from river import drift
from worlds_stream import BEFORE, changed, reference, summary, unchanged

PACKAGES = ("river", "numpy")
DELTAS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.12, 0.14, 0.17, 0.2, 0.25, 0.3)
THRESHOLDS = (50.0, 70.0, 80.0, 85.0, 90.0, 95.0, 100.0)


def run(given: dict[str, Any]) -> dict[str, Any]:
    seed = given["seed"]
    before, quiet, moved = reference(seed), unchanged(seed), changed(seed)
    makers: dict[str, dict[str, Callable[[], Any]]] = {
        "ADWIN": {str(d): lambda d=d: drift.ADWIN(delta=d) for d in DELTAS},
        "Page-Hinkley": {str(t): lambda t=t: drift.PageHinkley(threshold=t, mode="up") for t in THRESHOLDS},
    }
    found: dict[str, Any] = {}
    for name, knobs in makers.items():
        found[name] = {}
        for knob, make in knobs.items():
            alarms = sum(len(_alarms(make(), before, stream)) for stream in quiet)
            firsts = [next((p for p in _alarms(make(), before, s) if p >= BEFORE), None) for s in moved]
            found[name][knob] = summary(alarms, firsts)
    return {"found": found}


def _alarms(detector: Any, before: Any, stream: Any) -> list[int]:
    """Places in the stream at which the detector said that the error had risen."""
    for error in before.tolist():
        detector.update(error)
    found = []
    for place, error in enumerate(stream.tolist()):
        old = getattr(detector, "estimation", 0.0)
        detector.update(error)
        if detector.drift_detected and getattr(detector, "estimation", 1.0) > old:
            found.append(place)
    return found
