"""How fast rows are learned from, and how long the run may take yet: what a progress bar, or a line in a log, tells."""

from __future__ import annotations

import time
from collections.abc import Callable

from backstay.kernel.ports import Tick

_EVERY_SECONDS = 1.0
_UNITS = {"image": "images", "text": "texts"}


class Pace:
    """Told of every step and epoch of a run; tells whoever listens at most once a second, and after each epoch.

    Args:
        kind: of rows, as `train.augment` knows them.
        rows: of one epoch.
        epochs: that may yet be.
    """

    def __init__(
        self, tick: Tick, kind: str, rows: int, epochs: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tick = tick
        self._unit = _UNITS.get(kind, "rows")
        self._wanted = rows * epochs
        self._clock = clock
        self._began = self._told = clock()
        self._seen = 0

    def step(self, rows: int, loss: float) -> None:
        """These rows more have been learned from, at this loss of the batch."""
        self._seen += rows
        if self._clock() - self._told >= _EVERY_SECONDS:
            self._tell(0, f"loss {loss:.3f}", {"loss": loss})

    def epoch(self, figures: dict[str, float]) -> None:
        """An epoch has ended with these figures."""
        tuned = f"knn {figures['tune_knn']:.3f}" if "tune_knn" in figures else f"tune {figures['tune_loss']:.3f}"
        self._tell(1, f"loss {figures['loss']:.3f}, {tuned}", figures)

    def _tell(self, amount: int, said: str, figures: dict[str, float]) -> None:
        self._told = self._clock()
        # Looks between epochs are part of the time that a run takes, and so of its speed.
        speed = self._seen / max(self._told - self._began, 1e-9)
        left = max(self._wanted - self._seen, 0) / max(speed, 1e-9)
        note = f"{said}, {speed:,.0f} {self._unit}/s, at most {left:,.0f} s left"
        more = {f"{self._unit}_per_second": round(speed, 1), "most_seconds_left": round(left, 1)}
        self._tick(amount, note, **figures, **more)
