"""A share with no reference of its own: learnt from its first outcomes, then bet on, one outcome after another.

The first `FIRST` outcomes are the baseline. After them a Shiryaev-Roberts e-detector bets against "at most the upper
limit of the baseline's share, plus what is tolerated", so that the baseline's luck raises no alarm, for 95 baselines in
100; or against a share that was set beforehand, from the first outcome on. Steps are rationed (`rationing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backstay.kernel.records import Json
from backstay.maths.betting import null_error
from backstay.maths.intervals import clopper_pearson
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.rates import REFERENCE_DELTA
from backstay.monitor.detectors.rationing import REMEMBERED, allowed, block_means, restored, standing, threshold

FIRST = 100


@dataclass(frozen=True, slots=True)
class Stream:
    """What is remembered of one share: marked and all of the baseline, the bet, the last 100 outcomes, the alarm.

    >>> Stream().fed([0.0] * 100, Look(0.01, 0.4, 0.1, 600.0, 0.02), 1).ready
    True
    """

    marked: float = 0.0
    n: int = 0
    detector: Json | None = None
    recent: tuple[float, ...] = ()
    since: list[float] | None = None
    steps: int = 0

    @property
    def ready(self) -> bool:
        """The baseline is complete."""
        return self.n >= FIRST

    @property
    def alarm(self) -> bool:
        return self.since is not None

    @property
    def evidence(self) -> float:
        """1 or more while an alarm stands."""
        if self.detector is None:
            return 0.0
        found = restored(self.detector, float(self.detector["m0"]), float(self.detector["threshold"])).evidence
        return max(found, 1.0) if self.alarm else min(found, 0.999)

    def fed(
        self, outcomes: Sequence[float], look: Look, streams: int, *, null: float | None = None, tolerance: float = 0.0
    ) -> Stream:
        """The stream after more outcomes, 0 or 1 each, in order.

        Args:
            streams: over how many streams the budget is split; `steps` of the result are those of this call.
            null: the share that is bet against; learnt from the first outcomes where not given.
        """
        values = np.asarray(outcomes, dtype=np.float64)
        recent = tuple([*self.recent, *values.tolist()][-REMEMBERED:])
        marked, n = self.marked, self.n
        if null is None:
            taken = values[: max(FIRST - n, 0)]
            marked, n, values = marked + float(taken.sum()), n + len(taken), values[len(taken) :]
            if n < FIRST:
                return replace(self, marked=marked, n=n, recent=recent, steps=0)
            null = null_error(marked, float(n), REFERENCE_DELTA / streams, tolerance)
        detector = restored(self.detector, null, threshold(look, streams))
        steps = block_means(values, allowed(look, detector.steps))
        detector, alarms = detector.update(steps) if len(steps) else (detector, [])
        since = standing(self.since, bool(alarms), values, null)
        return Stream(marked, n, detector.to_json(), recent, since, len(steps))

    @property
    def alpha(self) -> float:
        """What the last outcomes spent."""
        return 0.0 if self.detector is None else self.steps / float(self.detector["threshold"])

    def words(self, what: str) -> str:
        """The share of the last outcomes with its exact interval, and of the baseline.

        >>> Stream(5.0, 100, recent=(1.0, 0.0)).words("overridden")
        'overridden 1 of the last 2 (between 1.3% and 98.7%), 5.0% at first'
        """
        low, high = clopper_pearson(sum(self.recent), len(self.recent))
        first = f", {self.marked / self.n:.1%} at first" if self.n else ""
        return f"{what} {sum(self.recent):.0f} of the last {len(self.recent)} (between {low:.1%} and {high:.1%}){first}"

    def to_json(self) -> Json:
        return {
            "marked": self.marked,
            "n": self.n,
            "detector": self.detector,
            "recent": list(self.recent),
            "since": self.since,
        }

    @staticmethod
    def from_json(state: Mapping[str, Any] | None) -> Stream:
        if state is None:
            return Stream()
        recent = tuple(map(float, state["recent"]))
        return Stream(float(state["marked"]), int(state["n"]), state["detector"], recent, state["since"])
