"""river under a changed meaning: ADWIN and Page-Hinkley on the stream of labelled errors, of the reference's too.

Their knobs are delta and threshold, tried from the loosest on; alarms of falling error are not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from river import drift
from worlds_concept import LABELS, STREAMS, Answers, ConceptWorld, strongest

PACKAGES = ("river", "numpy")
DELTAS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 5e-4, 1e-4, 1e-6, 1e-9)
THRESHOLDS = (1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 10, 12, 15, 20, 30, 50, 80)
Make = Callable[[], Any]


def run(given: dict[str, Any]) -> dict[str, Any]:
    world = ConceptWorld(given["seed"])
    before = 1.0 - world.reference().right
    makers: dict[str, tuple[list[Make], Make]] = {
        "ADWIN": ([lambda d=d: drift.ADWIN(delta=d) for d in DELTAS], drift.ADWIN),
        "Page-Hinkley": (
            [lambda t=t: drift.PageHinkley(threshold=t, mode="up") for t in THRESHOLDS],
            lambda: drift.PageHinkley(mode="up"),
        ),
    }
    found: dict[str, Any] = {}
    for labels in LABELS[1:]:
        for number in range(STREAMS):
            stream = world.stream(number)
            found[f"{labels}, {number}"] = {
                name: _told([_alarms(make(), before, stream, labels) for make in (*knobs, usual)])
                for name, (knobs, usual) in makers.items()
            }
    return {"found": found}


def _told(by_knob: list[list[bool]]) -> list[list[Any]]:
    return [list(pair) for pair in zip(strongest(by_knob[:-1]), by_knob[-1], strict=True)]


def _alarms(detector: Any, before: Any, stream: list[Answers], labels: int) -> list[bool]:
    for error in before.tolist():
        detector.update(error)
    found = []
    for window in stream:
        risen = False
        for error in (1.0 - window.right[:labels]).tolist():
            old = getattr(detector, "estimation", 0.0)
            detector.update(error)
            new = getattr(detector, "estimation", 1.0)
            risen = risen or (detector.drift_detected and new > old)
        found.append(bool(risen))
    return found
